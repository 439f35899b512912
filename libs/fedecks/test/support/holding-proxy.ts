/**
 * A TCP proxy between a node and its server that can hold bytes, and cut connections.
 *
 *     const proxy = await HoldingProxy.to(nats.port);
 *     proxy.url;
 *     proxy.hold('up');  proxy.release('up');     // holds what the node sends; 'down': what it receives
 *     proxy.cut();  proxy.restore();              // resets connections, and accepts none until restored
 *     await proxy.close();
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

type Direction = 'up' | 'down';

interface Pair {
  readonly up: Socket;
  readonly down: Socket;
}

export class HoldingProxy {
  private readonly server: Server;
  private readonly pairs = new Set<Pair>();
  private readonly held = { up: false, down: false };
  private isCut = false;

  private constructor(port: number) {
    this.server = createServer({ noDelay: true }, (down) => {
      down.on('error', () => undefined);
      if (this.isCut) {
        down.resetAndDestroy();
        return;
      }
      const up = connect({ port, host: '127.0.0.1', noDelay: true }).on('error', () => undefined);
      const pair = { up, down };
      this.pairs.add(pair);
      down.pipe(up);
      up.pipe(down);
      for (const direction of ['up', 'down'] as const) if (this.held[direction]) this.pause(pair, direction);
      for (const socket of [up, down])
        socket.on('close', () => {
          up.destroy();
          down.destroy();
          this.pairs.delete(pair);
        });
    });
  }

  static async to(port: number): Promise<HoldingProxy> {
    const proxy = new HoldingProxy(port);
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    return proxy;
  }

  get url(): string {
    return `nats://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  hold(direction: Direction): void {
    this.held[direction] = true;
    for (const pair of this.pairs) this.pause(pair, direction);
  }

  release(direction: Direction): void {
    this.held[direction] = false;
    for (const { up, down } of this.pairs) {
      if (direction === 'up') down.pipe(up);
      else up.pipe(down);
    }
  }

  cut(): void {
    this.isCut = true;
    for (const { up, down } of this.pairs) {
      up.destroy();
      down.resetAndDestroy();
    }
  }

  restore(): void {
    this.isCut = false;
  }

  async close(): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  private pause({ up, down }: Pair, direction: Direction): void {
    const [from, to] = direction === 'up' ? [down, up] : [up, down];
    from.unpipe(to);
    from.pause();
  }
}
