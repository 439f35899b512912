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

/** A request has 5 s, and is looked at every 5 s; a busy machine is slower. */
const CUT_OFF_WITHIN_MS = 20_000;

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
    new ControlRoutes(client, new StatusReport(client, { progress: undefined }, url), log),
  );
  await server.onModuleInit();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.onApplicationShutdown();
  await rm(directory, { recursive: true });
});

/** A connection that has said so much. */
async function open(text = ''): Promise<Socket> {
  const socket = connect(path);
  socket.on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

/** Resolves with what it was told when the agent has ended it. */
async function told(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
  await once(socket, 'close', { signal: AbortSignal.timeout(CUT_OFF_WITHIN_MS) });
  return text;
}

async function status(): Promise<unknown> {
  return JSON.parse(await ask(path, { method: 'GET', path: '/status', timeoutMs: 5_000 }));
}

/** A request for the log, and its answer: not read any further than its head. */
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

  it('has 32 connections at once: one more is ended, and says why; when one is gone there is room again', async () => {
    const held = await Promise.all(Array.from({ length: 32 }, () => open()));
    expect(await told(await open())).toBe('');
    await expect(status()).rejects.toThrow(/has ended, or answers as many others as it can/);
    // Of those it had none was ended for it.
    expect(held.some(({ closed }) => closed)).toBe(false);
    held[0]!.destroy();
    await eventually(status, (seen) => (seen as { state: string }).state === 'unregistered');
  });

  it('has 8 followers of the log, also when they come all at once; the others are told, and may ask for all else', async () => {
    const asked = await Promise.all(Array.from({ length: 20 }, follow));
    const following = asked.filter(({ statusCode }) => statusCode === 200);
    expect(asked.filter(({ statusCode }) => statusCode === 429)).toHaveLength(12);
    expect(following).toHaveLength(8);
    await expect(ask(path, FOLLOWING)).rejects.toThrow('8 others follow the log already');
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

  it('lets go of a follower that does not read, and the agent goes on', async () => {
    const deaf = await follow();
    deaf.pause();
    // More than the buffers of the system and of the agent take; what is passed on is not waited for.
    for (let line = 0; line < 4 * MAX_LINES; line++) {
      log.add('x'.repeat(1_000));
      if (line % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    // It finds the end when it reads at last, though nobody has ended the log.
    deaf.resume();
    await eventually(
      () => deaf.closed,
      (closed) => closed,
    );
    expect(deaf.complete).toBe(false);
    expect(await status()).toMatchObject({ state: 'unregistered' });
  });
});
