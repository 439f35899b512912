/** Tracing of a device: lines of `NODE_DEBUG=fedecks`, and diagnostics channels. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { type ChildApp, Program, type StartOptions } from './support/child-app.js';
import { type Cloud, PASSWORD, startCloud } from './support/cloud.js';
import { Inbox } from './support/inbox.js';

let program: Program;
let cloud: Cloud;
let url: string;
let directory: string;

beforeAll(async () => (program = await Program.compile('device-app.ts')));
afterAll(() => program.remove());

beforeEach(async () => {
  cloud = await startCloud();
  url = `ws://127.0.0.1:${cloud.port}/fedecks/websocket`;
  directory = await mkdtemp(join(tmpdir(), 'fedecks-trace-'));
});
afterEach(async () => {
  await cloud.close();
  await rm(directory, { recursive: true });
});

/** Runs a device that logs in and stops. */
async function run(how: StartOptions): Promise<ChildApp> {
  const args = [{ url, tokenStore: directory }, { password: PASSWORD }];
  const device = program.start(
    args.map((each) => JSON.stringify(each)),
    how,
  );
  try {
    while (!(await device.line()).includes('logged_in'));
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
        "'nerves-242a': unregistered: no_token",
        `'nerves-242a': connecting to ${url}, with credentials`,
        "'nerves-242a': connected",
        "'nerves-242a': token_stored",
        "'nerves-242a': stopped",
      ].map((line) => line.replaceAll("'", '"')),
    );
    expect(stderr).not.toContain(PASSWORD);
  });

  it('logs nothing when it is not set', async () => {
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
      await client.send('echo', { event: 'noted', data: 'hunter2' });
      const deviceId = 'nerves-242a';
      const seen: unknown[] = [];
      while (!JSON.stringify(seen).includes('fedecks:client:received')) seen.push(await inbox.next());
      expect(seen).toEqual([
        ...['unregistered', 'connecting', 'connected', 'token_stored'].map((type) => [
          'fedecks:client:event',
          { deviceId, event: expect.objectContaining({ type }) as unknown },
        ]),
        ['fedecks:client:sent', { deviceId, event: 'echo', bytes: expect.any(Number) as unknown }],
        ['fedecks:client:received', { deviceId, event: 'noted', bytes: expect.any(Number) as unknown }],
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
