/**
 * An HTTP proxy that supports CONNECT only.
 *
 *     const proxy = await ConnectProxy.listen();
 *     new FedecksClient({ proxy: proxy.url, ... });
 *     await proxy.asked.next();             // { authority, authorization } of a CONNECT
 *     proxy.answer = 407;                   // its answer from now on, instead of 200; 0 for none
 *     proxy.carried;                        // the bytes devices have sent through it
 *     proxy.open;                           // the number of device connections
 *     await proxy.close();
 */
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Inbox } from './inbox.js';

export interface Asked {
  /** Host and port, as the device wrote them. */
  readonly authority: string;
  readonly authorization: string | undefined;
}

export class ConnectProxy {
  readonly asked = new Inbox<Asked>('CONNECT request');
  answer = 200;
  carried = Buffer.alloc(0);
  private readonly sockets = new Set<Socket>();
  private readonly server: Server = createServer();

  private constructor() {
    this.server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
    this.server.on('connect', (request, device: Socket) => {
      const authority = request.url ?? '';
      this.asked.put({ authority, authorization: request.headers['proxy-authorization'] });
      device.on('error', () => undefined);
      // A device never half-closes.
      device.on('end', () => device.destroy());
      if (this.answer === 0) return void device.resume();
      if (this.answer !== 200)
        return void device.end(`HTTP/1.1 ${this.answer} No\r\ncontent-length: 0\r\n\r\n`);
      const { hostname, port } = new URL(`http://${authority}`);
      const cloud = connect({ host: hostname.replace(/[[\]]/g, ''), port: Number(port) }, () =>
        device.write('HTTP/1.1 200 Connection established\r\n\r\n'),
      );
      this.sockets.add(cloud);
      cloud.on('error', () => undefined);
      cloud.once('close', () => {
        this.sockets.delete(cloud);
        device.destroy();
      });
      device.once('close', () => cloud.destroy());
      device.on('data', (bytes: Buffer) => (this.carried = Buffer.concat([this.carried, bytes])));
      device.pipe(cloud).pipe(device);
    });
  }

  static async listen(): Promise<ConnectProxy> {
    const proxy = new ConnectProxy();
    await new Promise<void>((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get host(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  get open(): number {
    return this.sockets.size;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
