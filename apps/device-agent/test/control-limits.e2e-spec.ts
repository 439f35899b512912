import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { MemoryTokenStore } from '@fedecks/nest/client';
import { FedecksClient } from '@fedecks/nest/client-nest';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { ask, listen } from '../src/control/control-client.js';
import { ControlRoutes } from '../src/control/control-routes.js';
import { ControlServer } from '../src/control/control-server.js';
import { StatusReport } from '../src/control/status-report.js';
import { MAX_LINES, RecentLog } from '../src/log/recent-log.js';

/** A request times out after 5 s, checked every 5 s; a busy machine is slower. */
const CUT_OFF_WITHIN_MS = 20_000;

const SETTINGS = { telemetryIntervalMs: 60_000, logLevel: 'debug' } as const;

let directory: string;
let path: string;
let log: RecentLog;
let server: ControlServer;
const sockets: Socket[] = [];

beforeEach(async () => {
  Logger.overrideLogger(false);
  directory = await mkdtemp(join(tmpdir(), 'device-agent-control-'));
  path = join(directory, 'agent.sock');
  const url = 'ws://127.0.0.1:1/';
  const client = new FedecksClient({ url, deviceId: 'greenhouse-1', tokenStore: new MemoryTokenStore() });
  log = new RecentLog();
  server = new ControlServer(
    path,
    new ControlRoutes(
      client,
      new StatusReport(client, { progress: undefined }, { current: SETTINGS }, url),
      log,
    ),
  );
  await server.onModuleInit();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.onApplicationShutdown();
  await rm(directory, { recursive: true });
});

/** A connection that has sent this text. */
async function open(text = ''): Promise<Socket> {
  const socket = connect(path);
  socket.on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

/** Resolves with the received text when the agent has closed it. */
async function told(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
  await once(socket, 'close', { signal: AbortSignal.timeout(CUT_OFF_WITHIN_MS) });
  return text;
}

async function status(): Promise<unknown> {
  return JSON.parse(await ask(path, { method: 'GET', path: '/status', timeoutMs: 5_000 }));
}

/** Requests the log, and returns the response without reading its body. */
async function follow(): Promise<IncomingMessage> {
  const asking = request({ socketPath: path, path: '/logs?lines=0&follow', agent: false });
  asking.on('error', () => undefined);
  asking.once('socket', (socket) => sockets.push(socket));
  asking.end();
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  response.on('error', () => undefined);
  return response;
}

const FOLLOWING = { method: 'GET', path: '/logs?follow', timeoutMs: 5_000 } as const;

describe('the control socket', () => {
  it(
    'ends a request that does not arrive in time, wherever it stops',
    async () => {
      const slow = await Promise.all([
        open(),
        open('GET /status HTTP/1.1\r\nho'),
        open('POST /send HTTP/1.1\r\nhost: agent\r\ncontent-length: 20\r\n\r\n{"event":'),
      ]);
      for (const answer of await Promise.all(slow.map(told))) expect(answer).toMatch(/^(HTTP\/1.1 408 |$)/);
      expect(await status()).toMatchObject({ state: 'unregistered' });
    },
    CUT_OFF_WITHIN_MS + 5_000,
  );

  it('accepts 32 connections, closes one more with a reason, and accepts again after one has ended', async () => {
    const held = await Promise.all(Array.from({ length: 32 }, () => open()));
    expect(await told(await open())).toBe('');
    await expect(status()).rejects.toThrow(/has stopped, or serves too many commands at once/);
    // No existing connection was closed for it.
    expect(held.some(({ closed }) => closed)).toBe(false);
    held[0]!.destroy();
    await eventually(status, (seen) => (seen as { state: string }).state === 'unregistered');
  });

  it('accepts 8 log followers; rejects others with 429, but still answers their other requests', async () => {
    const asked = await Promise.all(Array.from({ length: 20 }, follow));
    const following = asked.filter(({ statusCode }) => statusCode === 200);
    expect(asked.filter(({ statusCode }) => statusCode === 429)).toHaveLength(12);
    expect(following).toHaveLength(8);
    await expect(ask(path, FOLLOWING)).rejects.toThrow('8 other commands already follow the log');
    log.add('a line');
    for (const response of following) {
      const [line] = (await once(response, 'data')) as [Buffer];
      expect(line.toString()).toBe('a line\n');
    }
    expect(await ask(path, { method: 'GET', path: '/logs', timeoutMs: 5_000 })).toBe('a line\n');
    expect(await status()).toMatchObject({ state: 'unregistered' });

    following[0]!.destroy();
    const again = await eventually(() => listen(path, FOLLOWING), Boolean);
    again.on('error', () => undefined);
    again.socket.destroy();
  });

  it('disconnects a follower that does not read', async () => {
    const deaf = await follow();
    deaf.pause();
    // More than the buffers of kernel and agent: the log does not wait for followers.
    for (let line = 0; line < 4 * MAX_LINES; line++) {
      log.add('x'.repeat(1_000));
      if (line % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    // When it reads again, it gets the end, although the log continues.
    deaf.resume();
    await eventually(
      () => deaf.closed,
      (closed) => closed,
    );
    expect(deaf.complete).toBe(false);
    expect(await status()).toMatchObject({ state: 'unregistered' });
  });
});
