import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir, uptime } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { PhoenixPeer } from '../../../libs/fedecks/test/support/phoenix-peer.js';
import { chars, str, term, tuple } from '../../../libs/fedecks/test/support/term-bytes.js';
import { ask } from '../src/control/control-client.js';
import { socketPath } from '../src/control/socket-path.js';
import { type AgentStatus } from '../src/control/status.js';
import { AgentProgram, type RunningAgent } from './support/agent-program.js';
import { Cloud, CREDENTIALS, type ReceivedTelemetry } from './support/cloud.js';

/** A sensor that takes longer is left out. The uptime is the first that is measured, in whole seconds. */
const MEASURED_WITHIN_S = 3;

let program: AgentProgram;
let directory: string;
let outbox: string;
let cloud: Cloud | undefined;
let env: NodeJS.ProcessEnv;
/** When the agent of the newest reading that was delivered had connected. */
let deliveredS = 0;

beforeAll(async () => (program = await AgentProgram.compile()));

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'device-agent-outbox-'));
  outbox = join(directory, 'outbox');
  const loginFile = join(directory, 'login.json');
  await writeFile(loginFile, JSON.stringify(CREDENTIALS));
  cloud = await Cloud.start();
  env = {
    FEDECKS_URL: cloud.url,
    FEDECKS_DEVICE_ID: 'greenhouse-1',
    FEDECKS_STATE_DIR: join(directory, 'state'),
    FEDECKS_LOGIN_FILE: loginFile,
    FEDECKS_START_DELAY_MS: '0',
    FEDECKS_OUTBOX: outbox,
    TELEMETRY_INTERVAL_MS: '1000',
  };
});

afterEach(async () => {
  await program.stopAll();
  await cloud?.close();
  await rm(directory, { recursive: true });
});

async function status(): Promise<AgentStatus> {
  const path = socketPath(env['FEDECKS_STATE_DIR']!);
  return JSON.parse(await ask(path, { method: 'GET', path: '/status', timeoutMs: 5_000 })) as AgentStatus;
}

interface Kept {
  readonly count: number;
  /** The uptime of the machine when so many were waiting. */
  readonly atS: number;
}

/** How many readings wait, when there are at least so many. */
async function waiting(atLeast: number): Promise<Kept> {
  const { outbox: kept } = await eventually(status, (now) => (now.outbox?.size ?? 0) >= atLeast, 20_000);
  return { count: kept!.size, atS: uptime() };
}

function takenBy(atS: number, received: readonly ReceivedTelemetry[]): number {
  return received.filter(({ reading }) => (reading['uptimeS'] as number) <= atS + 1).length;
}

async function outage(): Promise<void> {
  await cloud!.close();
  cloud = undefined;
}

async function endOutage(): Promise<Cloud> {
  return (cloud = await Cloud.start(Number(new URL(env['FEDECKS_URL']!).port)));
}

/**
 * The next readings that are delivered. The machine's uptime says how old each is: at most as old as when it has come, and at
 * least as old as when the agent has connected. A busy machine may take seconds from one to the other.
 */
async function readings(count: number): Promise<ReceivedTelemetry[]> {
  const received: ReceivedTelemetry[] = [];
  while (received.length < count) {
    const each = await cloud!.telemetry.next(20_000);
    const { reading, delivery, uptimeS, connectedS } = each;
    const before = received.at(-1);
    // While an agent opens its outbox, it sends what it measures next.
    if (!delivery && connectedS !== deliveredS) continue;
    deliveredS = connectedS;
    const ageS = delivery!.ageMs! / 1_000;
    const measuredS = reading['uptimeS'] as number;
    expect(ageS).toBeLessThan(uptimeS - measuredS + 1);
    expect(ageS).toBeGreaterThan(connectedS - measuredS - MEASURED_WITHIN_S);
    if (before) {
      expect(reading['uptimeS']).toBeGreaterThanOrEqual(before.reading['uptimeS'] as number);
      expect(delivery!.seq).toBeGreaterThan(before.delivery!.seq);
    }
    received.push(each);
  }
  return received;
}

async function runConnected(): Promise<RunningAgent> {
  const agent = program.run(env);
  expect(await cloud!.changes.next(10_000)).toBe('connected');
  return agent;
}

describe('an agent with FEDECKS_OUTBOX', () => {
  it('keeps readings over an outage, kill -9 and restarts, and delivers them in order with their age', async () => {
    let agent = await runConnected();
    await readings(1);
    await outage();
    const beforeKill = await waiting(3);
    // What is a second old is on the disk.
    await pause(2_500);
    agent.kill('SIGKILL');
    await agent.ended();

    agent = program.run(env);
    const beforeStop = await waiting(beforeKill.count + 2);
    agent.kill('SIGTERM');
    expect(await agent.ended()).toBe(0);

    await endOutage();
    program.run(env);
    const all = await readings(beforeStop.count + 1);
    expect(takenBy(beforeKill.atS, all)).toBeGreaterThanOrEqual(beforeKill.count);
    expect(takenBy(beforeStop.atS, all)).toBeGreaterThanOrEqual(beforeStop.count);
    await eventually(status, (now) => now.outbox?.size === 0 && now.outbox.state === 'flowing');
  }, 90_000);

  it('goes on measuring during an outage, and shows in its status what waits', async () => {
    const agent = await runConnected();
    await readings(1);
    await outage();
    await waiting(3);
    const { stdout } = await program.command(['status'], env);
    expect(stdout).toMatch(/^Outbox {8}\d+ messages, \d+ bytes, offline$/m);
    await endOutage();
    const [oldest] = await readings(3);
    expect(oldest!.reading['outbox']).toMatchObject({
      size: expect.any(Number) as number,
      bytes: expect.any(Number) as number,
      losses: { full: 0, expired: 0, rejected: 0, failed: 0, damaged: 0 },
    });
    agent.kill('SIGTERM');
    expect(await agent.ended()).toBe(0);
  }, 60_000);

  it('writes nothing to the disk while the cloud acknowledges readings', async () => {
    await runConnected();
    await readings(1);
    const files = async (): Promise<string[]> => {
      const names = (await readdir(outbox)).sort();
      const stats = await Promise.all(names.map((name) => stat(join(outbox, name))));
      return names.map((name, index) => `${name} ${stats[index]!.size} ${stats[index]!.mtimeMs}`);
    };
    // What a busy machine acknowledges after more than a second is written, and then its removal.
    const [before, after] = await eventually(
      async () => {
        const before = await files();
        await readings(3);
        return [before, await files()] as const;
      },
      ([before, after]) => before.join() === after.join(),
      40_000,
    );
    expect(after).toEqual(before);
    expect(before.length).toBeGreaterThan(0);
  }, 60_000);

  it('sends telemetry to a cloud of protocol 1, and keeps none for it', async () => {
    await outage();
    const peer = await PhoenixPeer.listen();
    env = { ...env, FEDECKS_URL: peer.url };
    program.run(env);
    const device = await peer.accept(10_000);
    device.upgrade();
    device.binary(term(tuple(chars('token'), str('t'))));
    const { outbox: kept } = await eventually(status, (now) => now.outbox?.state === 'not_supported');
    const telemetry = term(tuple(str('telemetry'))).fill(2, 2, 3);
    for (let count = 0; count < 3;) {
      const { opcode, payload } = await device.frame();
      expect(payload.toString('latin1')).not.toMatch(/resume|deliver/);
      if (opcode === 2 && payload.subarray(0, telemetry.length).equals(telemetry)) count++;
    }
    await peer.close();
    await eventually(status, (now) => now.outbox?.state === 'offline');
    await pause(2_500);
    expect((await status()).outbox!.size).toBe(kept!.size);
  }, 60_000);

  it('sends telemetry without the outbox when another process uses that', async () => {
    await runConnected();
    await readings(1);
    const state = join(directory, 'other');
    env = { ...env, FEDECKS_STATE_DIR: state, FEDECKS_DEVICE_ID: 'greenhouse-2' };
    const agent = await runConnected();
    expect(await agent.logged('The outbox has a problem')).toContain(`uses the outbox in ${outbox} already`);
    for (let count = 0; count < 2;) if ((await cloud!.telemetry.next(10_000)).delivery === undefined) count++;
    expect((await status()).outbox).toMatchObject({ state: 'failed' });
  }, 60_000);
});

it('without FEDECKS_OUTBOX, sends telemetry and keeps nothing', async () => {
  env = { ...env, FEDECKS_OUTBOX: '' };
  await runConnected();
  const { delivery, reading } = await cloud!.telemetry.next(10_000);
  expect(delivery).toBeUndefined();
  expect(reading).not.toHaveProperty('outbox');
  expect((await status()).outbox).toBeNull();
  expect((await program.command(['status'], env)).stdout).not.toContain('Outbox');
  expect(existsSync(outbox)).toBe(false);
});
