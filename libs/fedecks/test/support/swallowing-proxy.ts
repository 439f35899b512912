/**
 * A TCP proxy between a device and its cloud that misbehaves as networks do, while both ends believe to be connected.
 *
 *     const link = await SwallowingProxy.to(cloud.port);
 *     new FedecksClient({ url: link.url, ... });
 *     link.swallow('from device');     // or: 'to device', 'both': those bytes vanish, and the ends of TCP with them
 *     link.delay(50);                  // every chunk of bytes, in both directions, comes so many milliseconds later
 *     link.halfClose();                // a FIN to the device, and its bytes are still taken
 *     link.reset('device');            // a RST to the device, and the cloud is told nothing; or: 'both'
 *     link.pass();                     // connections made from now on are passed on faithfully again
 *     link.open;                       // how many connections of devices there are
 *     await link.close();
 *
 * What is said holds for the connections there are and for those made later, until `pass()`. What has been swallowed
 * stays swallowed: a connection that has lost bytes never passes any again in that direction.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Which bytes vanish. */
export type Direction = 'from device' | 'to device' | 'both';

/** What a link does to the bytes that pass it. */
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

  /** A FIN to the device; what it sends is taken all the same. */
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

/** One connection of a device, and the one to the cloud that was made for it. */
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
