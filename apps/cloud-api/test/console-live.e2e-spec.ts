/** The console when the cloud is away, or has no live connection for it. */
import { tuple } from '@fedecks/nest/wire';
import { type Page } from 'playwright-core';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { Database } from '../src/database/database.js';
import { Console } from './support/console.js';
import { TestDatabase } from './support/test-database.js';

/** More than a page waits before it asks, and before it tries `/live` again. */
const [REFRESHED, RETRIED] = ['00:05', '00:31'];
/** By when the clock of a page is stopped: it cannot be set back. */
const STOPPED_WITHIN_MS = 60_000;
/** By when what was asked for is drawn. */
const DRAWN_MS = 500;
const NOT_LIVE = 'Not live: asking every few seconds';
/** Messages that a device sends in a moment, and more than a page shows of them at once. */
const [SENT, MAX_SHOWN] = [450, 320];
/** So many may watch `/live`. */
const MAX_OPERATORS = 50;

let database: TestDatabase;
let shown: Console;

beforeAll(async () => {
  database = await TestDatabase.create();
  shown = await Console.start({ database: database.config });
  await shown.cloud
    .get(Database)
    .insertInto('devices')
    .values([{ id: 'lamp' }, { id: 'greenhouse-1' }])
    .execute();
}, 120_000);
afterEach(async () => expect(await shown.closePages()).toEqual([]));
afterAll(async () => {
  await shown.close();
  await database.close();
});

/** Stops the clock of the page of the lamp, when it has loaded its state once more. */
async function stopClock(page: Page): Promise<void> {
  const loaded = page.waitForResponse(/\/devices\/lamp$/);
  await page.clock.pauseAt((await page.evaluate<number>('Date.now()')) + STOPPED_WITHIN_MS);
  await page.clock.runFor(DRAWN_MS);
  await (await loaded).finished();
}

it('keeps few of many messages, and none while it is paused; what came then is shown after it', async () => {
  const page = await shown.openAs('viewer');
  await page.goto('/devices/greenhouse-1');
  const device = await shown.cloud.fakeDeviceWithToken('greenhouse-1');
  await page.getByText('Live', { exact: true }).waitFor();
  for (let number = 1; number <= SENT; number++) device.send(tuple('count', number));
  // It may be shown twice, until what came before the page is read.
  await page.getByText(`["count",${SENT}]`).first().waitFor();
  const messages = page.getByRole('list', { name: 'Messages' }).getByRole('listitem');
  expect(await messages.count()).toBeLessThan(MAX_SHOWN);

  await page.getByLabel('Pause').check();
  device.send('sent while it is paused');
  // Answered after it.
  await device.request('nothing', null);
  await shown.settle(page);
  expect(await page.getByText('"sent while it is paused"').count()).toBe(0);
  await shown.cloud.written();
  await page.getByLabel('Pause').uncheck();
  await page.getByText('"sent while it is paused"').first().waitFor();
  await device.disconnect();
});

it('says that it is not live when there is no live connection for it, and asks instead', async () => {
  const others = Array.from({ length: MAX_OPERATORS }, () => shown.cloud.watch());
  for (const { shown: events } of others) await events.next();
  const page = await shown.openAs('viewer');
  await page.clock.install();
  await page.goto('/devices/lamp');
  await page.getByText(NOT_LIVE).waitFor();
  await shown.settle(page);
  // Stopped, so that nothing else loads the state meanwhile.
  await stopClock(page);
  expect(await shown.cloud.http('POST', '/api/v1/devices/lamp/block')).toMatchObject({ status: 200 });
  await page.clock.fastForward(REFRESHED);
  await page.clock.runFor(DRAWN_MS);
  await page.getByText('Blocked', { exact: true }).waitFor();
  await page.clock.resume();

  others[0]!.socket.close();
  await others[0]!.closed.next();
  await page.clock.fastForward(RETRIED);
  await page.getByText('Live', { exact: true }).waitFor();
  expect(shown.takeProblems(/WebSocket connection to '.*\/live\?device=lamp' failed: .* 503/)).not.toEqual(
    [],
  );
});

it('goes on by itself when the cloud was away', async () => {
  const page = await shown.openAs('admin');
  await page.clock.install();
  await page.goto('/devices/lamp');
  await page.getByText('Live', { exact: true }).waitFor();
  // Until what came before the page is read.
  await page.clock.fastForward('00:01');
  await shown.settle(page);
  // Stopped, as what it asks for while the cloud ends may be reset.
  await stopClock(page);
  await shown.cloud.close();
  await page.getByText(NOT_LIVE).waitFor();
  await page.clock.fastForward(REFRESHED);
  await page.clock.runFor(DRAWN_MS);
  const alerts = page.getByRole('alert').filter({ hasText: 'The cloud does not answer' });
  await alerts.first().waitFor();
  await shown.startAgain();
  await page.clock.resume();
  await page.clock.fastForward(RETRIED);
  await page.getByText('Live', { exact: true }).waitFor();
  await eventually(
    () => alerts.count(),
    (count) => count === 0,
  );
  await page.getByText('Never seen').waitFor();
  // The browser reports what it could not reach.
  expect(shown.takeProblems(/ERR_CONNECTION_REFUSED/)).not.toEqual([]);
});
