/**
 * A TCP proxy between a device and its cloud that simulates network faults while both ends stay connected.
 *
 *     const link = await SwallowingProxy.to(cloud.port);
 *     new FedecksClient({ url: link.url, ... });
 *     link.swallow('from device');     // or: 'to device', 'both': drops bytes and FINs
 *     link.delay(50);                  // delays every chunk in both directions, in milliseconds
 *     link.halfClose();                // a FIN to the device, whose bytes are still accepted
 *     link.reset('device');            // an RST to the device only; or: 'both'
 *     link.pass();                     // new connections work normally again
 *     link.open;                       // the number of device connections
 *     await link.close();
 *
 * Each call affects existing and new connections until `pass()`. Dropped bytes
 * are lost: a connection that has lost bytes never passes any again in that direction.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** The direction whose bytes are dropped. */
export type Direction = 'from device' | 'to device' | 'both';

/** The current fault of a link. */
interface Fate {
  readonly swallowed?: Direction;
  readonly delayMs?: number;
}

export class SwallowingProxy {
  private readonly links = new Set<Link>();
  private readonly server: Server;
  private fate: Fate = {};

  private constructor(port: number) {
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, (device) => {
      const link = new Link(device, connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true }));
      link.suffer(this.fate);
      this.links.add(link);
      device.once('close', () => this.links.delete(link));
    });
  }

  /** A proxy on a free port of this machine, to another port of it. */
  static async to(port: number): Promise<SwallowingProxy> {
    const proxy = new SwallowingProxy(port);
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    return proxy;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}/fedecks/websocket`;
  }

  get open(): number {
    return this.links.size;
  }

  swallow(swallowed: Direction): void {
    this.suffer({ swallowed });
  }

  delay(delayMs: number): void {
    this.suffer({ delayMs });
  }

  /** Sends a FIN to the device, and still accepts its bytes. */
  halfClose(): void {
    for (const { device } of this.links) device.end();
  }

  reset(side: 'device' | 'both'): void {
    for (const { device, cloud } of this.links) {
      device.resetAndDestroy();
      if (side === 'both') cloud.resetAndDestroy();
    }
  }

  pass(): void {
    this.fate = {};
  }

  async close(): Promise<void> {
    for (const link of this.links) link.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private suffer(fate: Fate): void {
    this.fate = fate;
    for (const link of this.links) link.suffer(fate);
  }
}

/** One connection of a device, and its connection to the cloud. */
class Link {
  private fate: Fate = {};
  private readonly timers = new Set<NodeJS.Timeout>();

  constructor(
    readonly device: Socket,
    readonly cloud: Socket,
  ) {
    this.carry(device, cloud, 'from device');
    this.carry(cloud, device, 'to device');
    device.once('close', () => this.destroy());
  }

  suffer(fate: Fate): void {
    this.fate = fate;
  }

  destroy(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.device.destroy();
    this.cloud.destroy();
  }

  private carry(from: Socket, to: Socket, direction: Direction): void {
    let broken = false;
    const swallows = (): boolean => {
      const { swallowed } = this.fate;
      broken ||= swallowed === direction || swallowed === 'both';
      return broken;
    };
    from.on('error', () => undefined);
    from.on('data', (bytes: Buffer) => {
      if (swallows()) return;
      this.carryOn(() => to.write(bytes));
    });
    from.on('end', () => {
      if (!swallows()) this.carryOn(() => to.end());
    });
  }

  private carryOn(act: () => void): void {
    const { delayMs } = this.fate;
    if (delayMs === undefined) return act();
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      act();
    }, delayMs);
    this.timers.add(timer);
  }
}
