import { type Server } from 'node:net';
import { type IncomingMessage } from 'node:http';
import { type Duplex } from 'node:stream';
import { Body, Controller, Get, type INestApplication, Injectable, Post } from '@nestjs/common';
import { type AbstractHttpAdapter } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { FedecksModule, OnMessage, Payload } from '@fedecks/nest';
import { type Term } from '@fedecks/nest/wire';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';
import { Inbox } from './support/inbox.js';
import { frame, OPCODE, type RawPeer, upgradeRequest } from './support/raw-peer.js';
import { PasswordOnly, SECRET, Site } from './support/site.js';
import { str, term } from './support/term-bytes.js';

@Controller()
class Pages {
  @Get('page')
  page() {
    return { page: 1 };
  }

  @Post('form')
  form(@Body() body: unknown) {
    return { received: body };
  }
}

@Injectable()
class Echo {
  @OnMessage()
  any(@Payload() message: Term) {
    return message;
  }
}

/** A gateway as in the documentation of Nest, for `ws` or socket.io depending on the adapter. */
@WebSocketGateway({ path: '/chat' })
class Chat {
  @SubscribeMessage('say')
  say(@MessageBody() text: string) {
    return { event: 'said', data: text };
  }
}

const fedecks = FedecksModule.forRoot({
  secrets: [SECRET],
  authenticator: new PasswordOnly(),
  drainMs: 0,
});

/** The gateway's answer to a `say` of one of its clients. */
type Chatter = (port: number) => Promise<unknown>;

async function sayByWs(port: number): Promise<unknown> {
  const answers = new Inbox<unknown>('answer of the ws gateway');
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`);
  socket.on('error', (error) => answers.put(error));
  socket.on('open', () => socket.send(JSON.stringify({ event: 'say', data: 'hello' })));
  socket.on('message', (data: Buffer) =>
    answers.put((JSON.parse(data.toString()) as { data: unknown }).data),
  );
  const answer = await answers.next();
  socket.terminate();
  return answer;
}

async function sayBySocketIo(
  port: number,
  transport: 'websocket' | 'polling' = 'websocket',
): Promise<unknown> {
  const answers = new Inbox<unknown>('answer of the socket.io gateway');
  const socket = io(`http://127.0.0.1:${port}`, {
    path: '/chat',
    transports: [transport],
    reconnection: false,
  });
  socket.on('connect_error', (error) => answers.put(error));
  socket.on('said', (data) => answers.put(data));
  socket.emit('say', 'hello');
  const answer = await answers.next();
  socket.close();
  return answer;
}

const HTTP: [string, () => AbstractHttpAdapter][] = [
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
];

interface Gateways {
  readonly prepare?: (app: INestApplication) => void;
  readonly chat?: Chatter;
}
const GATEWAYS: [string, Gateways][] = [
  ['no other gateway', {}],
  ['a gateway of ws', { prepare: (app) => void app.useWebSocketAdapter(new WsAdapter(app)), chat: sayByWs }],
  [
    'a gateway of socket.io',
    { prepare: (app) => void app.useWebSocketAdapter(new IoAdapter(app)), chat: sayBySocketIo },
  ],
];

async function expectEcho(peer: RawPeer): Promise<void> {
  peer.sendBinary(term(str('hello')));
  expect((await peer.expectFrame()).payload).toEqual(term(str('hello')));
}

/** Requests an upgrade of a path of no endpoint, and returns all bytes up to the FIN. */
async function upgradeElsewhere(site: Site, headers: Record<string, string> = {}): Promise<string> {
  const peer = await site.connect();
  peer.write(upgradeRequest({ target: '/elsewhere', headers }));
  await peer.ended();
  return Buffer.concat(peer.reads).toString('latin1');
}

let site: Site;
afterEach(() => site.close());

const COMBINATIONS = HTTP.flatMap(([http, adapter]) =>
  GATEWAYS.map(([name, gateways]): [string, string, () => AbstractHttpAdapter, Gateways] => [
    http,
    name,
    adapter,
    gateways,
  ]),
);

describe.each(COMBINATIONS)('With %s and %s', (_http, _gateway, adapter, { prepare, chat }) => {
  beforeEach(async () => {
    site = await Site.start(
      { imports: [fedecks], controllers: [Pages], providers: [Echo, PasswordOnly, ...(chat ? [Chat] : [])] },
      { adapter: adapter(), ...(prepare && { prepare }) },
    );
  });

  it('connects devices, and keeps them connected while other clients come and go', async () => {
    const device = await site.open();
    await expectEcho(device);
    if (chat) expect(await chat(site.port)).toBe('hello');
    await expectEcho(device);
  });

  it("leaves the app's HTTP routes, bodies and 404s unchanged", async () => {
    const url = `http://127.0.0.1:${site.port}`;
    await site.open();
    expect(await (await fetch(`${url}/page`)).json()).toEqual({ page: 1 });
    const body = { text: 'x'.repeat(50_000) };
    const posted = await fetch(`${url}/form`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(await posted.json()).toEqual({ received: body });
    expect((await fetch(`${url}/elsewhere`)).status).toBe(404);
    expect((await fetch(`${url}/fedecks/websocket`, { method: 'POST' })).status).toBe(404);
  });

  it('rejects an upgrade of an unknown path, and closes TCP', async () => {
    expect(await upgradeElsewhere(site)).not.toContain('HTTP/1.1 101');
  });

  it('leaves no connection and no server open after app.close()', async () => {
    const device = await site.open();
    const server = site.app.getHttpServer() as Server;
    const closing = site.app.close();
    expect((await device.expectFrame()).opcode).toBe(OPCODE.close);
    await device.ended();
    device.end();
    await closing;
    expect(server.listening).toBe(false);
    const connections = await new Promise((resolve) =>
      server.getConnections((_error, count) => resolve(count)),
    );
    expect(connections).toBe(0);
  });
});

it('a polling socket.io client reaches its gateway', async () => {
  site = await Site.start(
    { imports: [fedecks], providers: [Echo, Chat] },
    { prepare: (app) => void app.useWebSocketAdapter(new IoAdapter(app)) },
  );
  expect(await sayBySocketIo(site.port, 'polling')).toBe('hello');
  await expectEcho(await site.open());
});

it('a socket.io client that polls, then upgrades, keeps its socket, and a device its connection', async () => {
  site = await Site.start(
    { imports: [fedecks], providers: [Echo, Chat] },
    { prepare: (app) => void app.useWebSocketAdapter(new IoAdapter(app)) },
  );
  const device = await site.open();
  const transports = new Inbox<string>('upgrade of the socket.io client');
  const socket = io(`http://127.0.0.1:${site.port}`, { path: '/chat', reconnection: false });
  socket.io.on('open', () => {
    socket.io.engine.on('upgrade', (transport: { name: string }) => transports.put(transport.name));
  });
  expect(await transports.next()).toBe('websocket');
  socket.close();
  await expectEcho(device);
});

describe("The app's own upgrade listeners", () => {
  /** Handles the upgrades of one path, as an app with another protocol on its server does. */
  function own(path: string, seen: string[] = []) {
    return (request: IncomingMessage, socket: Duplex): void => {
      seen.push(request.url ?? '');
      if (request.url === path) socket.end(`HTTP/1.1 101 Switching Protocols\r\nx-owner: ${path}\r\n\r\n`);
    };
  }

  async function ownerOf(target: string): Promise<string | undefined> {
    const peer = await site.connect();
    peer.write(upgradeRequest({ target }));
    const { headers } = await peer.response();
    return headers.get('x-owner');
  }

  async function start(prepare?: (server: Server) => void): Promise<Server> {
    site = await Site.start(
      { imports: [fedecks], controllers: [Pages], providers: [Echo] },
      { prepare: (app) => prepare?.(app.getHttpServer() as Server) },
    );
    return site.app.getHttpServer() as Server;
  }

  it('get all upgrades of other paths, and only those, when added before or after listen()', async () => {
    const seen: string[] = [];
    const server = await start((before) => void before.on('upgrade', own('/before', seen)));
    server.on('upgrade', own('/after'));
    server.prependListener('upgrade', own('/first'));
    for (const path of ['/before', '/after', '/first']) expect(await ownerOf(path)).toBe(path);
    await expectEcho(await site.open());
    expect(seen).toEqual(['/before', '/after', '/first']);
  });

  it('get none after removal, and only one with `once`', async () => {
    const server = await start();
    const removed: string[] = [];
    const once: string[] = [];
    const listener = own('/removed', removed);
    server.on('upgrade', listener);
    server.once('upgrade', own('/once', once));
    expect(await ownerOf('/once')).toBe('/once');
    server.off('upgrade', listener);
    expect(await upgradeElsewhere(site)).toMatch(/^HTTP\/1\.1 404 /);
    expect([removed, once]).toEqual([['/once'], ['/once']]);
  });

  it('have to answer every upgrade of other paths themselves', async () => {
    const server = await start();
    const sockets = new Inbox<Duplex>('upgrade');
    server.on('upgrade', (_request, socket: Duplex) => sockets.put(socket));
    const peer = await site.connect();
    peer.write(upgradeRequest({ target: '/theirs' }));
    (await sockets.next()).end('HTTP/1.1 418 Theirs\r\n\r\n');
    expect((await peer.response()).statusLine).toBe('HTTP/1.1 418 Theirs');
  });
});

describe('Without other upgrade listeners', () => {
  beforeEach(async () => {
    site = await Site.start({ imports: [fedecks], controllers: [Pages], providers: [Echo] });
  });

  it('answers a websocket upgrade of an unknown path with 404 and no body', async () => {
    expect(await upgradeElsewhere(site)).toMatch(
      /^HTTP\/1\.1 404 Not Found\r\n(.+\r\n)*content-length: 0\r\n(.+\r\n)*\r\n$/,
    );
  });

  /** The offer of HTTP/2 that Java's HTTP client adds to each request. */
  const h2c = (request: string, body = ''): string =>
    `${request} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n` +
    `HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

  /** Reads until this many response bodies have arrived. */
  async function bodies(peer: RawPeer, count: number): Promise<string[]> {
    const deadline = Date.now() + 5_000;
    for (;;) {
      const text = Buffer.concat(peer.reads).toString('latin1');
      const found = [...text.matchAll(/\r\n\r\n({.*?})(?=HTTP|$)/gs)].map(([, body]) => body!);
      if (found.length >= count) return found;
      if (Date.now() > deadline) throw new Error(`not ${count} responses in ${JSON.stringify(text)}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  it('treats an upgrade to another protocol as an ordinary request (RFC 9110 §7.8), with its body', async () => {
    const peer = await site.connect();
    const long = JSON.stringify({ text: 'x'.repeat(30_000) });
    peer.write(h2c('GET /page'));
    await bodies(peer, 1);
    const posted = h2c('POST /form', long);
    // The body arrives in two parts: one with the headers, one after the upgrade was declined.
    peer.write(posted.slice(0, 1_000));
    setImmediate(() => peer.write(posted.slice(1_000)));
    await bodies(peer, 2);
    peer.write('GET /page HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(await bodies(peer, 3)).toEqual(['{"page":1}', `{"received":${long}}`, '{"page":1}']);
  });

  it("answers an upgrade of the endpoint's path to another protocol with 403 without authentication", async () => {
    const peer = await site.connect();
    peer.write(h2c('GET /fedecks/websocket'));
    expect((await peer.response()).statusLine).toBe('HTTP/1.1 403 Forbidden');
  });

  it('reads a frame that looks like HTTP as a frame', async () => {
    const device = await site.open();
    device.write(frame(OPCODE.text, h2c('GET /page')));
    await expectEcho(device);
  });
});
