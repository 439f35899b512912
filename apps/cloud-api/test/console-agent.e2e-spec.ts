/** The console with a real agent as a process: from the first start of the cloud to the end of the device. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Locator, type Page } from 'playwright-core';
import { AgentProgram, type RunningAgent } from '../../device-agent/test/support/agent-program.js';
import { Console } from './support/console.js';

const ID = 'greenhouse-1';
const PASSWORD = 'correct horse battery';
/** More than the page waits before it asks again, and how long it is given meanwhile. */
const [REFRESHED, PAUSE_MS] = ['00:10', 250];

const log: string[] = [];
let program: AgentProgram;
let directory: string;
let shown: Console;
let page: Page;

beforeAll(async () => {
  [program, shown, directory] = await Promise.all([
    AgentProgram.compile(),
    Console.start({}, log),
    mkdtemp(join(tmpdir(), 'console-agent-')),
  ]);
  page = await shown.open();
  // So that the test need not wait until the page asks again.
  await page.clock.install();
}, 120_000);
afterEach(async () => expect(await shown.closePages()).toEqual([]));
afterAll(async () => {
  await program.stopAll();
  await shown.close();
  await rm(directory, { recursive: true });
});

const env = (): NodeJS.ProcessEnv => ({
  FEDECKS_URL: `ws://127.0.0.1:${shown.cloud.port}/fedecks/websocket`,
  FEDECKS_DEVICE_ID: ID,
  FEDECKS_STATE_DIR: join(directory, 'state'),
  FEDECKS_START_DELAY_MS: '0',
  TELEMETRY_INTERVAL_MS: '1000',
});

const tab = (name: string): Promise<void> => page.getByRole('tab', { name }).click();
const inState = (): Locator => page.getByRole('region', { name: 'State' });

async function setUp(): Promise<void> {
  const link = log.map((line) => /http:\S+\/setup#\S+/.exec(line)?.[0]).find((each) => each !== undefined);
  await page.goto(link!);
  await page.getByLabel('Name').fill('ada');
  await page.getByLabel(/^Password/).fill(PASSWORD);
  await page.getByLabel('The same password again').fill(PASSWORD);
  await page.getByRole('button', { name: 'Set up' }).click();
}

/** Makes a code for the device in the page, and returns it. */
async function makeCode(): Promise<string> {
  await page.getByRole('link', { name: 'Enrol', exact: true }).click();
  await page.getByLabel(/^Device ids/).fill(ID);
  await page.getByRole('button', { name: 'Make the codes' }).click();
  return (await page.locator('.codes code').textContent())!;
}

async function openDevice(): Promise<void> {
  await page.getByRole('link', { name: 'Devices', exact: true }).click();
  await page.getByRole('link', { name: ID }).click();
}

/** Does what a button of the device does, and confirms it. */
async function command(name: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name, exact: true }).click();
}

/** Lets the page ask again until it shows this. */
async function until(locator: Locator): Promise<void> {
  while (!(await locator.first().isVisible())) {
    await page.clock.fastForward(REFRESHED);
    await shown.settle(page);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

async function enrol(): Promise<RunningAgent> {
  await page.getByText('There is no device yet').waitFor();
  const agent = program.run({ ...env(), FEDECKS_CLAIM: await makeCode() });
  await openDevice();
  await inState().getByText('Online').waitFor();
  await page.getByText('Live', { exact: true }).waitFor();
  await agent.logged('Connected');
  return agent;
}

/** Waits until the plot has more points than before, and returns how many. */
async function watchPlot(before = 0): Promise<number> {
  await tab('Readings');
  await page.getByLabel('Metric').selectOption('uptimeS');
  await page.getByRole('combobox', { name: 'The last' }).selectOption('15 minutes');
  await until(page.locator(`[data-points]:not([data-points="0"], [data-points="${before}"])`));
  const points = Number(await page.locator('[data-points]').getAttribute('data-points'));
  expect(points).toBeGreaterThan(before);
  return points;
}

async function ping(): Promise<void> {
  await tab('Send');
  await page.getByLabel('Event').fill('ping');
  const payload = '{ "$tuple": ["a", { "$integer": "18446744073709551616" }] }';
  await page.getByLabel('Payload, as JSON').fill(payload);
  await page.getByRole('button', { name: 'Send' }).click();
  const outcome = page.getByRole('status', { name: 'Outcome' });
  await outcome.getByText('"pong"').waitFor();
  await outcome.getByText('18446744073709551616').waitFor();
}

/** Puts in a change of settings while the agent is off; it is done when the agent is back. */
async function deliverWhileOff(agent: RunningAgent): Promise<RunningAgent> {
  await command('Restart');
  expect(await agent.ended()).toBe(75);
  await inState().getByText('Offline').waitFor();
  await tab('Settings');
  await page.getByLabel('Change, as JSON').fill('{ "telemetryIntervalMs": 2000 }');
  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await tab('Deliveries');
  await page.getByRole('cell', { name: 'queued' }).waitFor();
  const next = program.run(env());
  await inState().getByText('Online').waitFor();
  await until(page.getByRole('cell', { name: 'done' }));
  return next;
}

it('takes a device from the first start of the cloud to its end', async () => {
  await setUp();
  const first = await enrol();
  await page
    .getByText(/^\["telemetry",/)
    .first()
    .waitFor();
  const points = await watchPlot();
  await ping();
  await tab('Log');
  await page.locator('pre', { hasText: 'Connected' }).waitFor();
  await watchPlot(points);

  const second = await deliverWhileOff(first);
  await command('Revoke');
  await second.logged('The cloud rejects the token of this device');
  await inState().getByText('Offline').waitFor();

  const code = await makeCode();
  const { stdout } = await program.command(['login', '--claim', code], env());
  expect(stdout).toMatch(/^Logged in/);
  await openDevice();
  await inState().getByText('Online').waitFor();
  await tab('Settings');
  await until(page.getByText('"telemetryIntervalMs": 2000'));
  await command('Block');
  await inState().getByText('Blocked').waitFor();
  await inState().getByText('Offline').waitFor();
  expect(shown.cloud.fedecks.devices()).toEqual([]);
  await tab('Audit');
  for (const action of ['device.restart', 'device.revoke', 'device.block'])
    await page.getByRole('cell', { name: action }).waitFor();
}, 120_000);
