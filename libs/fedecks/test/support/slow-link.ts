/**
 * A link with a limited number of bytes per second in each direction.
 *
 *     const link = await SlowLink.to(cloud.port, 20_000);
 *     new FedecksClient({ url: link.url, ... });
 *     await link.close();
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

const EVERY_MS = 10;

export class SlowLink {
  private readonly sockets = new Set<Socket>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private readonly server: Server;

  private constructor(
    port: number,
    private readonly bytesPerSecond: number,
  ) {
    this.server = createServer((device) => {
      const cloud = connect({ port, host: '127.0.0.1' });
      this.carry(device, cloud);
      this.carry(cloud, device);
    });
  }

  static async to(port: number, bytesPerSecond: number): Promise<SlowLink> {
    const link = new SlowLink(port, bytesPerSecond);
    link.server.listen(0, '127.0.0.1');
    await once(link.server, 'listening');
    return link;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}/fedecks/websocket`;
  }

  async close(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private carry(from: Socket, to: Socket): void {
    this.sockets.add(from);
    from.pause();
    from.on('error', () => undefined);
    // Reads manually: unread bytes stay in the kernel, so TCP slows the sender down.
    from.on('readable', () => undefined);
    const startedAt = performance.now();
    let carried = 0;
    const timer = setInterval(() => {
      const allowed = ((performance.now() - startedAt) / 1000) * this.bytesPerSecond;
      const size = Math.min(Math.floor(allowed - carried), from.readableLength, this.bytesPerSecond);
      // Unused capacity is not accumulated.
      carried = Math.max(carried + Math.max(0, size), allowed - this.bytesPerSecond / 50);
      if (size > 0) to.write(from.read(size) as Buffer);
      else from.read(0);
    }, EVERY_MS);
    this.timers.add(timer);
    from.once('end', () => to.end());
    from.once('close', () => {
      clearInterval(timer);
      this.timers.delete(timer);
      this.sockets.delete(from);
      to.destroy();
    });
  }
}
