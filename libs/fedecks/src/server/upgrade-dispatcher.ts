import { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Duplex } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { type AbstractHttpAdapter, HttpAdapterHost } from '@nestjs/core';
import { WEBSOCKET_SUFFIX } from '../wire/index.js';
import { answer } from './refusal.js';

/** What serves one path. */
export interface PathOwner {
  /** A request that asks to become something else than HTTP. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** A GET that does not. */
  request(request: IncomingMessage, response: ServerResponse): void;
}

type Listener = (...args: unknown[]) => unknown;
/** What the event passes is for the two places to know that give it. */
type Dispatch = (others: readonly Listener[], ...args: never[]) => void;

/**
 * Shares the app's server with everything else that listens to its upgrades. Gateways of Nest destroy the
 * socket of each upgrade whose path they do not know, and engine.io ends one nobody has answered, so a second
 * listener beside theirs loses: this one stands before them, keeps the paths it was given, and hands on the rest.
 */
@Injectable()
export class UpgradeDispatcher {
  private readonly owners = new Map<string, PathOwner>();
  private attached = false;

  constructor(private readonly adapterHost: HttpAdapterHost) {}

  /** Called when the app is about to listen: its gateways have added their listeners by then. */
  claim(path: string, owner: PathOwner): void {
    if (this.owners.has(path)) {
      throw new Error(
        `FedecksModule.forRoot is used twice with path '${path}': give each endpoint a path of its own.`,
      );
    }
    this.owners.set(path, owner);
    if (this.attached) return;
    const server = (this.adapterHost.httpAdapter as AbstractHttpAdapter | undefined)?.getHttpServer() as
      Server | undefined;
    if (!server) {
      throw new Error(
        'FedecksModule needs an HTTP server: create the app with NestFactory.create(), not as a context.',
      );
    }
    this.attached = true;
    standBefore(server, 'upgrade', (others, request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const owner = this.ownerOf(request);
      if (owner) owner.upgrade(request, socket, head);
      else if (others.length === 0) answer(socket, 404);
      else for (const other of others) other.call(server, request, socket, head);
    });
    standBefore(server, 'request', (others, request: IncomingMessage, response: ServerResponse) => {
      const owner = request.method === 'GET' ? this.ownerOf(request) : undefined;
      if (owner) owner.request(request, response);
      else for (const other of others) other.call(server, request, response);
    });
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

/** Replaces the listeners of an event by one that decides which of them, and of those added later, to call. */
function standBefore(server: Server, event: 'upgrade' | 'request', dispatch: Dispatch): void {
  const others = server.rawListeners(event) as Listener[];
  server.removeAllListeners(event);
  server.on(event, (...args: unknown[]) => dispatch([...others], ...(args as never[])));
  server.on('newListener', (added: string | symbol, listener: Listener) => {
    if (added !== event) return;
    others.push(listener);
    // Node adds it after this event: it goes once it is there.
    process.nextTick(() => server.removeListener(event, listener));
  });
}
