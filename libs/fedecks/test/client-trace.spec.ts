/** Tracing of a device: lines of `NODE_DEBUG=fedecks`, and diagnostics channels. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeTerm } from '@fedecks/nest/wire';
import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { type ChildApp, Program, type StartOptions } from './support/child-app.js';
import { type Cloud, PASSWORD, startCloud } from './support/cloud.js';
import { eventually } from './support/eventually.js';
import { Inbox } from './support/inbox.js';

let program: Program;
let cloud: Cloud;
let url: string;
let directory: string;

beforeAll(async () => (program = await Program.compile('device-app.ts')));

beforeEach(async () => {
  cloud = await startCloud();
  url = `ws://127.0.0.1:${cloud.port}/fedecks/websocket`;
  directory = await mkdtemp(join(tmpdir(), 'fedecks-trace-'));
});
afterEach(async () => {
  await cloud.close();
  await rm(directory, { recursive: true });
});

/** A device that logs in and is stopped. */
async function run(how: StartOptions, options = { url, tokenStore: directory }): Promise<ChildApp> {
  const args = [options, { password: PASSWORD }];
  const device = program.start(
    args.map((each) => JSON.stringify(each)),
    how,
  );
  try {
    while (!(await device.line()).includes('logged_in'));
    if (how.env) {
      await cloud.fedecks.push('nerves-242a', { event: 'fan', data: PASSWORD });
      await eventually(
        () => device.stderr,
        (text) => text.includes('received'),
      );
    }
    device.endInput();
    await expect(device.exited(10_000)).resolves.toMatchObject({ code: 0 });
  } finally {
    device.dispose();
  }
  return device;
}

describe('NODE_DEBUG=fedecks', () => {
  it('logs what the client does, without credentials', async () => {
    const { stderr } = await run({ env: { NODE_DEBUG: 'fedecks' } });
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => line.replace(/^FEDECKS \d+: /, ''));
    expect(lines).toEqual(
      [
        "'nerves-242a': No token: a login is needed",
        `'nerves-242a': Connecting to ${url} with credentials`,
        "'nerves-242a': Connected",
        "'nerves-242a': A new token is stored",
        `'nerves-242a': received event 'fan', ${encodeTerm({ event: 'fan', data: PASSWORD }).length} bytes`,
        "'nerves-242a': Stopped",
      ].map((line) => line.replaceAll("'", '"')),
    );
    expect(stderr).not.toContain(PASSWORD);
  });

  it('shows no query of the URL, and no line or command for a terminal that a failure holds', async () => {
    const hostile = `${directory}/\u001b[2J\nFEDECKS 1: all is well\u202e\u009b`;
    await mkdir(join(hostile, 'token'), { recursive: true });
    await mkdir(join(hostile, 'token.previous'));
    const { stderr } = await run(
      { env: { NODE_DEBUG: 'fedecks' } },
      { url: `${url}?key=hunter2`, tokenStore: hostile },
    );
    expect(stderr).toContain('The stored token cannot be used');
    expect(stderr).toContain('\\u001b[2J\\nFEDECKS 1: all is well\\u202e\\u009b');
    expect(stderr).toContain(`Connecting to ${url}?... with credentials`);
    expect(stderr).not.toContain('hunter2');
    for (const line of stderr.trim().split('\n'))
      expect(line).toMatch(/^FEDECKS \d+: "nerves-242a": [ -~]+$/);
  });

  it('shows nothing where it is not set', async () => {
    const { stderr } = await run({});
    expect(stderr).toBe('');
  });
});

describe('diagnostics channels', () => {
  it('publish events, and messages with their sizes', async () => {
    const inbox = new Inbox<unknown>('message of a channel');
    const names = ['event', 'sent', 'received'].map((name) => `fedecks:client:${name}`);
    const listener = (message: unknown, name: string | symbol): void => inbox.put([name, message]);
    for (const name of names) subscribe(name, listener);
    const client = new FedecksClient({ url, deviceId: 'nerves-242a', tokenStore: new MemoryTokenStore() });
    try {
      await client.login({ password: PASSWORD });
      const long = 'x'.repeat(1_000);
      await client.send('echo', { event: long, data: 'hunter2' });
      const deviceId = 'nerves-242a';
      const seen: unknown[] = [];
      while (!JSON.stringify(seen).includes('fedecks:client:received')) seen.push(await inbox.next());
      expect(seen).toEqual([
        ...['unregistered', 'connecting', 'connected', 'token_stored'].map((type) => [
          'fedecks:client:event',
          { deviceId, event: expect.objectContaining({ type }) as unknown },
        ]),
        ['fedecks:client:sent', { deviceId, event: 'echo', bytes: expect.any(Number) as unknown }],
        [
          'fedecks:client:received',
          { deviceId, event: long.slice(0, 64), bytes: expect.any(Number) as unknown },
        ],
      ]);
      expect(JSON.stringify(seen)).not.toContain('hunter2');
    } finally {
      for (const name of names) unsubscribe(name, listener);
      await client.stop();
    }
  });

  it('let the device go on when a subscriber throws, which Node raises as an uncaught exception', async () => {
    const thrower =
      'import { subscribe } from "node:diagnostics_channel";' +
      'subscribe("fedecks:client:event", () => { throw new Error("an observer"); });' +
      'process.on("uncaughtException", ({ message }) => console.error(message));';
    const { stderr } = await run({
      options: ['--import', `data:text/javascript,${encodeURIComponent(thrower)}`],
    });
    expect(stderr.trim().split('\n')).toEqual(Array.from({ length: 5 }, () => 'an observer'));
  });
});
