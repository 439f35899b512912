import { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Socket } from 'node:net';
import { type Duplex } from 'node:stream';
import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { type AbstractHttpAdapter, HttpAdapterHost } from '@nestjs/core';
import { InvalidOptionsError } from '../../options/index.js';
import { WEBSOCKET_SUFFIX } from '../../wire/internal.js';
import { DeclinedUpgrades } from './declined-upgrades.js';
import { reply } from './http-reply.js';

/** Serves one path. */
export interface PathOwner {
  /** A request for a websocket, or for another protocol than HTTP. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** A GET without an upgrade. */
  request(request: IncomingMessage, response: ServerResponse): void;
  /** @param onUnixSocket whether the server listens on a unix socket, whose peers have no address. */
  onListening(onUnixSocket: boolean): void;
  /** Called when the app closes. Resolves when all its connections are closed. */
  shutDown(): Promise<void>;
}

/** Protocols that HTTP clients offer with any request; an HTTP/1.1 server ignores them. */
const OFFERED_PROTOCOL = /^\s*(h2c|http\/|tls\/)/i;

/**
 * Shares the app's server with other listeners for upgrades. Nest gateways destroy the socket of each upgrade whose path
 * they do not know, and engine.io ends unanswered ones. So this class hides from them the upgrades of our paths, and
 * those that are ordinary requests.
 */
@Injectable()
export class UpgradeDispatcher implements OnModuleDestroy {
  private readonly owners = new Map<string, PathOwner>();
  private readonly logger = new Logger('Fedecks');
  private declined: DeclinedUpgrades | undefined;
  private shutdown: Promise<void> | undefined;

  constructor(private readonly adapterHost: HttpAdapterHost) {}

  /**
   * Called before the app listens.
   * @throws {InvalidOptionsError} when the path already has an owner.
   */
  claim(path: string, owner: PathOwner): void {
    if (this.owners.has(path)) {
      throw new InvalidOptionsError('FedecksModule.forRoot', [
        `Two endpoints have the path '${path}': give each endpoint its own 'path'.`,
      ]);
    }
    if (this.owners.size === 0) this.attach();
    this.owners.set(path, owner);
  }

  /** For a Nest version that does not call `beforeClose`: other modules may already be destroyed. */
  async onModuleDestroy(): Promise<void> {
    await this.shutDown();
  }

  /** All endpoints at once, so that no endpoint accepts the devices that another one closes. Never rejects. */
  private shutDown(): Promise<void> {
    this.shutdown ??= this.shutDownOwners();
    return this.shutdown;
  }

  private async shutDownOwners(): Promise<void> {
    const ended = await Promise.allSettled(Array.from(this.owners.values(), (owner) => owner.shutDown()));
    for (const end of ended) {
      // The hooks of the app must still run.
      if (end.status === 'rejected') this.logger.error('An endpoint failed to shut down', end.reason);
    }
  }

  private attach(): void {
    const adapter = this.adapterHost.httpAdapter as AbstractHttpAdapter | undefined;
    const server = adapter?.getHttpServer() as Server | undefined;
    if (!adapter || !server) {
      throw new Error(
        'FedecksModule needs an HTTP server: create the app with NestFactory.create(), not with createApplicationContext().',
      );
    }
    this.shutDownBeforeHooks(adapter);
    this.declined = new DeclinedUpgrades(server);
    // A listener cannot hide an event from other listeners, so emit() is replaced.
    const emit = server.emit.bind(server);
    server.emit = (event: string, ...args: unknown[]) =>
      this.intercept(server, event, args as [IncomingMessage, never, Buffer]) || emit(event, ...args);
    // Node emits no upgrade without a listener.
    server.on('upgrade', (_request: IncomingMessage, socket: Duplex) => {
      if (server.listenerCount('upgrade') === 1) reply(socket, 404);
    });
    server.on('listening', () => {
      const onUnixSocket = typeof server.address() === 'string';
      for (const owner of this.owners.values()) owner.onListening(onUnixSocket);
    });
  }

  /** Shuts down before the app's destroy hooks, because handlers may use its providers until then. */
  private shutDownBeforeHooks(adapter: { beforeClose?: () => unknown }): void {
    const beforeClose = adapter.beforeClose?.bind(adapter);
    adapter.beforeClose = async () => {
      await beforeClose?.();
      await this.shutDown();
    };
  }

  /** Handles an event instead of the listeners, if it is for an owner or a declined upgrade. */
  private intercept(
    server: Server,
    event: string,
    [request, other, head]: [IncomingMessage, never, Buffer],
  ): boolean {
    if (event === 'upgrade') return this.interceptUpgrade(server, request, other, head);
    if (event === 'request' || event === 'checkContinue') this.declined?.onRequest(request, other);
    if (event !== 'request' || request.method !== 'GET') return false;
    const owner = this.ownerOf(request);
    owner?.request(request, other);
    return owner !== undefined;
  }

  private interceptUpgrade(server: Server, request: IncomingMessage, socket: Socket, head: Buffer): boolean {
    if (this.declined && isOrdinary(server, request)) {
      this.declined.serve(request, socket, head);
      return true;
    }
    const owner = this.ownerOf(request);
    owner?.upgrade(request, socket, head);
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

function isOrdinary(server: Server, { headers }: IncomingMessage): boolean {
  const protocol = headers.upgrade ?? '';
  if (/websocket/i.test(protocol)) return false;
  // Left to the listener of another protocol, if any.
  return OFFERED_PROTOCOL.test(protocol) || server.listenerCount('upgrade') === 1;
}
