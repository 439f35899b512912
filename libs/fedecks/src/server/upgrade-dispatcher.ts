import { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Duplex } from 'node:stream';
import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { type AbstractHttpAdapter, HttpAdapterHost } from '@nestjs/core';
import { InvalidOptionsError } from '../options/index.js';
import { WEBSOCKET_SUFFIX } from '../wire/index.js';
import { answer } from './refusal.js';

/** What serves one path. */
export interface PathOwner {
  /** A request that asks to become something else than HTTP. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** A GET that does not. */
  request(request: IncomingMessage, response: ServerResponse): void;
  /** The app is being closed: resolves when all that was upgraded is closed. */
  shutDown(): Promise<void>;
}

/**
 * Shares the app's server with everything else that listens to its upgrades. Gateways of Nest destroy the
 * socket of each upgrade whose path they do not know, and engine.io ends one nobody has answered, so a second
 * listener beside theirs loses: what is for the paths given to this one does not reach them.
 */
@Injectable()
export class UpgradeDispatcher implements BeforeApplicationShutdown {
  private readonly owners = new Map<string, PathOwner>();

  constructor(private readonly adapterHost: HttpAdapterHost) {}

  /**
   * Called before the app listens.
   * @throws {InvalidOptionsError} when the path has an owner already.
   */
  claim(path: string, owner: PathOwner): void {
    if (this.owners.has(path)) {
      throw new InvalidOptionsError('FedecksModule.forRoot', [
        `'path' is '${path}' twice: give each endpoint a path of its own.`,
      ]);
    }
    if (this.owners.size === 0) this.attach();
    this.owners.set(path, owner);
  }

  /** All endpoints at once: Nest closes one module after another, and devices would still come to the last. */
  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(Array.from(this.owners.values(), (owner) => owner.shutDown()));
  }

  private attach(): void {
    const server = (this.adapterHost.httpAdapter as AbstractHttpAdapter | undefined)?.getHttpServer() as
      Server | undefined;
    if (!server) {
      throw new Error(
        'FedecksModule needs an HTTP server: create the app with NestFactory.create(), not as a context.',
      );
    }
    // No listener can keep an event from the others, whenever they are added: so it is stopped before them.
    const emit = server.emit.bind(server);
    server.emit = (event: string, ...args: unknown[]) =>
      this.takes(event, args as [IncomingMessage, never, Buffer]) || emit(event, ...args);
    // Node looks for this listener before it emits any upgrade, and calls it when there is no owner.
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (server.listenerCount('upgrade') > 1) return;
      if (request.headers.upgrade?.toLowerCase() === 'websocket') answer(socket, 404);
      else serveAsHttp(server, request, socket, head);
    });
  }

  /** Gives an event of the server to the owner of its path, if there is one. */
  private takes(event: string, [request, other, head]: [IncomingMessage, never, Buffer]): boolean {
    if (event !== 'upgrade' && (event !== 'request' || request.method !== 'GET')) return false;
    const owner = this.ownerOf(request);
    if (event === 'upgrade') owner?.upgrade(request, other, head);
    else owner?.request(request, other);
    return owner !== undefined;
  }

  private ownerOf({ url = '' }: IncomingMessage): PathOwner | undefined {
    const query = url.indexOf('?');
    const path = query < 0 ? url : url.slice(0, query);
    const bare = path.endsWith('/') ? path.slice(0, -1) : path;
    return bare.endsWith(WEBSOCKET_SUFFIX)
      ? this.owners.get(bare.slice(0, -WEBSOCKET_SUFFIX.length))
      : undefined;
  }
}

/**
 * An upgrade that nobody here takes is an ordinary request (RFC 9110 §7.8): HTTP clients of Java offer h2c with
 * each one. Node has left HTTP by now, so the connection starts anew, with the request as it was but for that header.
 */
function serveAsHttp(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const { method = '', url = '', httpVersion, rawHeaders } = request;
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2);
    if (name.toLowerCase() !== 'upgrade') text += `${name}: ${value}\r\n`;
  }
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), head]));
  server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket);
}
