/** The agent as a process, enrolled at cloud-api with a claim. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudApi } from '../../cloud-api/test/support/cloud-api.js';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { EXIT } from '../src/cli/exit.js';
import { type AgentStatus } from '../src/control/status.js';
import { AgentProgram, type Ended } from './support/agent-program.js';

const ID = 'greenhouse-1';
const WRONG = '0000-0000-0000-0000';
const NO_TOKEN = 'log it in with `device-agent login`';

let program: AgentProgram;
let cloud: CloudApi;
let directory: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  program = await AgentProgram.compile();
});

beforeEach(async () => {
  cloud = await CloudApi.start();
  directory = await mkdtemp(join(tmpdir(), 'device-agent-claim-'));
  env = {
    FEDECKS_URL: `ws://127.0.0.1:${cloud.port}/fedecks/websocket`,
    FEDECKS_DEVICE_ID: ID,
    FEDECKS_STATE_DIR: join(directory, 'state'),
    FEDECKS_START_DELAY_MS: '0',
  };
});

afterEach(async () => {
  await program.stopAll();
  await cloud.close();
  await rm(directory, { recursive: true });
});

async function createClaim(): Promise<string> {
  const body = JSON.stringify({ devices: [ID] });
  const answer = await cloud.http('POST', '/api/v1/claims', { body });
  const { items } = answer.body as { items: { code: string }[] };
  return items[0]!.code;
}

async function status(): Promise<AgentStatus> {
  const { stdout } = await program.command(['status', '--json'], env);
  return JSON.parse(stdout) as AgentStatus;
}

const connected = (): Promise<AgentStatus> =>
  eventually(status, ({ state, tokenHeld }) => state === 'connected' && tokenHeld);

/** Nothing that the agent has printed or written contains the code. */
async function expectUnknown(code: string): Promise<void> {
  expect(program.output).not.toContain(code);
  const state = join(directory, 'state');
  for (const entry of await readdir(state, { withFileTypes: true })) {
    if (entry.isFile()) expect(await readFile(join(state, entry.name), 'latin1')).not.toContain(code);
  }
}

describe('device-agent login --claim', () => {
  const login = (args: readonly string[], input = ''): Promise<Ended> =>
    program.command(['login', ...args], env, input);

  it('logs the device in, once, and says what to do when the cloud rejects the code', async () => {
    await program.run(env).logged(NO_TOKEN);
    const code = await createClaim();
    const rejected = await login(['--claim', WRONG]);
    expect(rejected).toMatchObject({ code: EXIT.failed, stdout: '' });
    expect(rejected.stderr).toMatch(/mistyped, has expired, .* or was used already.* ask for a new code/);
    expect(await login(['--claim', code.toLowerCase()])).toMatchObject({
      code: EXIT.ok,
      stdout: expect.stringMatching(/^Logged in\. .*the claim code is of no more use/) as string,
    });
    await connected();
    await expectUnknown(code);
    expect(program.output.toUpperCase()).not.toContain(code);
  });

  it('reads the code from standard input', async () => {
    await program.run(env).logged(NO_TOKEN);
    expect(await login(['--claim', '--stdin'], `${await createClaim()}\n`)).toMatchObject({ code: EXIT.ok });
    await connected();
  });

  it('says how to give the code without a terminal, and refuses two sources', async () => {
    await program.run(env).logged(NO_TOKEN);
    const cases: [string[], number, string][] = [
      [['--claim'], EXIT.usage, 'use --claim CODE, or --claim --stdin'],
      [['--claim', '--stdin'], EXIT.failed, 'The claim code is empty'],
      [['--claim', 'x', '--stdin'], EXIT.usage, 'not both'],
      [['--claim', 'x', '--credentials-file', 'y'], EXIT.usage, 'not both'],
    ];
    for (const [args, code, said] of cases)
      expect([args, await login(args)]).toMatchObject([
        args,
        { code, stderr: expect.stringContaining(said) as string },
      ]);
  });
});

describe('device-agent run with FEDECKS_CLAIM', () => {
  it('logs in by itself, and ignores the claim from then on', async () => {
    const code = await createClaim();
    env['FEDECKS_CLAIM'] = code;
    const first = program.run(env);
    await first.logged('Logged in with the claim code');
    await connected();
    first.kill('SIGTERM');
    expect(await first.ended()).toBe(EXIT.ok);

    const second = program.run(env);
    await second.logged('Connected');
    // Without its token only a person helps: the claim is not tried.
    await cloud.fedecks.revoke(ID);
    await second.logged(`The cloud rejects the token of this device (expired or revoked): ${NO_TOKEN}`);
    expect(await status()).toMatchObject({ tokenRefused: true, fileLogin: null });
    await expectUnknown(code);
  });

  it('tries a rejected claim slowly, and shows why', async () => {
    env['FEDECKS_CLAIM'] = WRONG;
    const line = await program.run(env).logged('Trying again in');
    expect(line).toMatch(/The cloud rejects the claim code: .* Trying again in (?:[345]\d s|60 s|1 min)/);
    expect(await status()).toMatchObject({
      state: 'unregistered',
      fileLogin: { file: 'FEDECKS_CLAIM', lastError: expect.stringContaining('claim code') as string },
    });
    await expectUnknown(WRONG);
  });

  it('reads the claim from FEDECKS_CLAIM_FILE, when it is there', async () => {
    const file = join(directory, 'claim');
    env['FEDECKS_CLAIM_FILE'] = file;
    await program.run(env).logged('The agent cannot read the claim file (ENOENT). Trying again in');
    const code = await createClaim();
    await writeFile(file, `${code}\n`);
    await connected();
    await expectUnknown(code);
  });
});
