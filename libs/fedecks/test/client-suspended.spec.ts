import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientEvent } from '@fedecks/nest/client';
import { type ChildApp, Program } from './support/child-app.js';
import { type Cloud, PASSWORD, startCloud } from './support/cloud.js';
import { SwallowingProxy } from './support/swallowing-proxy.js';

const ID = 'nerves-242a';
const IDLE_TIMEOUT_MS = 1_000;
const TIMES = { pingIntervalMs: 200, pongTimeoutMs: 400, retryMinMs: 1, retryMaxMs: 20 };

let program: Program;
let directory: string;
let cloud: Cloud;
let link: SwallowingProxy;
let device: ChildApp;

beforeAll(async () => {
  program = await Program.compile('device-app.ts');
});

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fedecks-suspended-'));
  cloud = await startCloud({ idleTimeoutMs: IDLE_TIMEOUT_MS });
  link = await SwallowingProxy.to(cloud.port);
});

afterEach(async () => {
  device.dispose();
  await link.close();
  await cloud.close();
  await rm(directory, { recursive: true });
});

/** The device's next event of this type. */
async function told<Type extends ClientEvent['type']>(
  type: Type | 'logged_in',
): Promise<Extract<ClientEvent, { type: Type }>> {
  for (;;) {
    const event = JSON.parse(await device.line()) as Extract<ClientEvent, { type: Type }>;
    if (event.type === type) return event;
  }
}

/** Starts a device that has logged in and has its token. */
async function loggedIn(url: string): Promise<void> {
  const options = { url, tokenStore: directory, ...TIMES };
  device = program.start([options, { password: PASSWORD }].map((each) => JSON.stringify(each)));
  await told('logged_in');
}

async function expectBack(): Promise<void> {
  expect(await told('connecting')).toMatchObject({ with: 'token' });
  await told('connected');
  expect(cloud.fedecks.devices().map(({ id }) => id)).toEqual([ID]);
  // It never needed credentials again.
  expect(cloud.asked).toEqual([ID]);
  await cloud.fedecks.push(ID, 'awake?');
}

describe('a device that was suspended for longer than the idle timeout of its cloud (§2.10, §3.3)', () => {
  it('learns that the cloud has closed its connection, and reconnects with its token', async () => {
    await loggedIn(`ws://127.0.0.1:${cloud.port}/fedecks/websocket`);
    await device.freeze();
    expect(await cloud.disconnected.next()).toBe(ID);
    expect(cloud.fedecks.devices()).toEqual([]);
    device.kill('SIGCONT');
    // The socket reports the close. If a ping was pending when the device froze, the heartbeat may be first.
    expect(['closed', 'heartbeat_missed']).toContain((await told('connection_lost')).cause);
    await expectBack();
  });

  it('detects a dead connection by itself when the network has not reported the close', async () => {
    await loggedIn(link.url);
    await device.freeze();
    link.swallow('to device');
    expect(await cloud.disconnected.next()).toBe(ID);
    link.pass();
    device.kill('SIGCONT');
    expect(await told('connection_lost')).toEqual({ type: 'connection_lost', cause: 'heartbeat_missed' });
    await expectBack();
  });
});
