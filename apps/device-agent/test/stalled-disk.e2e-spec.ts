import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { AgentProgram, type RunningAgent } from './support/agent-program.js';
import { Cloud, CREDENTIALS } from './support/cloud.js';

const ID = 'greenhouse-1';
/** Half of `TimeoutStopSec` in the systemd unit, and Docker's default timeout. */
const STOP_LIMIT_MS = 10_000;

let program: AgentProgram;
let cloud: Cloud;
let directory: string;

beforeAll(async () => {
  program = await AgentProgram.compile();
});

beforeEach(async () => {
  cloud = await Cloud.start();
  directory = await mkdtemp(join(tmpdir(), 'device-agent-disk-'));
});

afterEach(async () => {
  await program.stopAll();
  await cloud.close();
  await rm(directory, { recursive: true });
});

function environment(stalledFile: string): NodeJS.ProcessEnv {
  return {
    FEDECKS_URL: cloud.url,
    FEDECKS_DEVICE_ID: ID,
    FEDECKS_STATE_DIR: directory,
    FEDECKS_START_DELAY_MS: '0',
    NODE_OPTIONS: `--import=${fileURLToPath(new URL('support/stalled-disk.mjs', import.meta.url))}`,
    STALLED_FILE: stalledFile,
  };
}

/** Starts an agent, connects it, and makes its disk hang: it has a token to save, and opening the file blocks. */
async function stalled(): Promise<RunningAgent> {
  const env = environment('token.new');
  const running = program.run(env);
  await running.logged('log it in with `device-agent login`');
  const login = (): Promise<unknown> =>
    program.command(['login', '--stdin'], env, JSON.stringify(CREDENTIALS));
  await login();
  await rm(join(directory, 'token'));
  execFileSync('mkfifo', [join(directory, 'stalled')]);
  // It exits with the agent.
  void login().catch(() => undefined);
  for (let times = 0; times < 2; times++) await cloud.event('telemetry');
  return running;
}

async function endOf(running: RunningAgent): Promise<void> {
  await running.logged('The stored token could not be changed');
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, STOP_LIMIT_MS, 'late')));
  expect(await Promise.race([running.ended(), late])).not.toBe('late');
  clearTimeout(timer);
}

describe('a disk that hangs', () => {
  it('does not block a stopped agent from exiting, which reports the lost token', async () => {
    const running = await stalled();
    running.kill('SIGTERM');
    await endOf(running);
  });

  it('does not block an agent from exiting when the cloud requests a restart', async () => {
    const running = await stalled();
    await cloud.push(ID, { event: 'restart', data: null });
    await endOf(running);
  });

  it('does not block an agent from exiting while it starts', async () => {
    execFileSync('mkfifo', [join(directory, 'stalled')]);
    const running = program.run(environment('token'));
    await eventually(() => existsSync(join(directory, 'agent.sock')), Boolean);
    running.kill('SIGTERM');
    expect(await running.ended()).toBeNull();
  });
});
