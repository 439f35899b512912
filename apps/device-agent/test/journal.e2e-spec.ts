import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { EXIT } from '../src/cli/exit.js';
import { AgentProgram } from './support/agent-program.js';

const CONFIG_PROBLEM = 'FEDECKS_URL must be set';
let program: AgentProgram;
let directory: string;

beforeAll(async () => (program = await AgentProgram.compile()));
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'device-agent-journal-'))));
afterEach(() => rmSync(directory, { recursive: true }));

/** Runs the agent with both outputs in a file instead of the journal, until it has written this. */
async function journalOf(env: NodeJS.ProcessEnv, until: string, stream?: string) {
  const path = join(directory, 'journal');
  const fd = openSync(path, 'w');
  const { dev, ino } = fstatSync(fd);
  const { PATH } = process.env;
  const child = spawn(process.execPath, [program.file, 'run'], {
    env: {
      PATH,
      FEDECKS_STATE_DIR: join(directory, 'state'),
      JOURNAL_STREAM: stream ?? `${dev}:${ino}`,
      ...env,
    },
    stdio: ['ignore', fd, fd],
  });
  closeSync(fd);
  const ended = once(child, 'close');
  try {
    await eventually(
      () => readFileSync(path, 'utf8'),
      (text) => text.includes(until),
    );
  } finally {
    // An agent that cannot start exits by itself.
    if (until !== CONFIG_PROBLEM) child.kill('SIGTERM');
  }
  const [code] = (await ended) as [number | null];
  return { code, lines: readFileSync(path, 'utf8').trimEnd().split('\n') };
}

describe('The agent in the journal', () => {
  it('gives each line its priority, and no date', async () => {
    const env = { FEDECKS_URL: 'ws://127.0.0.1:9/', FEDECKS_DEVICE_ID: 'greenhouse-1' };
    const { lines } = await journalOf(env, 'log it in');
    expect(lines).toContain('<6>[Connection] No token: a login is needed');
    expect(lines).toContain('<4>[Login] This device has no token: log it in with `device-agent login`');
    for (const line of lines) expect(line).toMatch(/^<[2-7]>\[/);
  });

  it('gives every line about an invalid configuration the priority of an error', async () => {
    const { code, lines } = await journalOf({}, CONFIG_PROBLEM);
    expect(code).toBe(EXIT.config);
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) expect(line).toMatch(/^<3>/);
  });

  it('writes dates and no priorities to another file', async () => {
    const env = { FEDECKS_URL: 'ws://127.0.0.1:9/', FEDECKS_DEVICE_ID: 'greenhouse-1' };
    const { lines } = await journalOf(env, 'log it in', '1:1');
    for (const line of lines) expect(line).toMatch(/^\[device-agent\] \d+ .*\d\d:\d\d/);
  });
});
