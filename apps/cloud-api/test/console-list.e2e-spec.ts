/** The list of devices in the console, with 10,000 of them. */
import { sql } from 'kysely';
import { type Page } from 'playwright-core';
import { Database } from '../src/database/database.js';
import { Console } from './support/console.js';

const COUNT = 10_000;
/** Rows in the page, whatever the number of devices. */
const MAX_ROWS = 100;

let shown: Console;

beforeAll(async () => {
  shown = await Console.start();
  await sql`
    INSERT INTO devices (id, name, tags, first_seen_at, last_seen_at, state_since, agent_version, offline_cause)
    SELECT 'device-' || lpad(n::text, 5, '0'), 'Greenhouse ' || n, ARRAY['site-' || n % 100, 'row-' || n % 7],
      now(), now(), now(), '1.' || n % 7, 'connection_lost'
    FROM generate_series(1, ${COUNT}) AS n`.execute(shown.cloud.get(Database));
}, 120_000);
afterEach(async () => expect(await shown.closePages()).toEqual([]));
afterAll(() => shown.close());

async function openList(path: string): Promise<Page> {
  // Without motion, so that a key scrolls at once.
  const page = await shown.openAs('operator', undefined, { reducedMotion: 'reduce' });
  await page.goto(path);
  return page;
}

async function countBlocked(): Promise<number> {
  const query = shown.cloud.get(Database).selectFrom('devices').select('id').where('blocked', '=', true);
  return (await query.execute()).length;
}

it('scrolls to the end of 10,000 devices, and has few rows at a time', async () => {
  const page = await openList('/devices');
  const list = page.getByRole('list', { name: 'Devices' });
  const rows = list.getByRole('listitem');
  await page.getByText('10000 devices').waitFor();
  for (let loaded = 500; loaded <= COUNT; loaded += 500) {
    await page.getByText(`Select the ${loaded} that are loaded`).waitFor();
    expect(await rows.count()).toBeLessThan(MAX_ROWS);
    await list.press('End');
  }
  await page.getByRole('link', { name: 'Greenhouse 10000 (device-10000)' }).waitFor();
  const last = list.locator('[aria-posinset="10000"]');
  await expect(last.getAttribute('aria-setsize')).resolves.toBe('10000');
  await list.press('Home');
  await page.getByRole('link', { name: 'device-00001' }).waitFor();
  expect(await rows.count()).toBeLessThan(MAX_ROWS);
}, 120_000);

it('filters and sorts by the address, and keeps that over a reload', async () => {
  const page = await openList('/devices?tag=site-7&tag=row-0&version=1.0&state=offline&sort=name');
  const check = async (): Promise<void> => {
    await page.getByText('15 devices').waitFor();
    await expect(page.getByLabel('Tags').inputValue()).resolves.toBe('site-7, row-0');
    await expect(page.getByLabel('Agent version').inputValue()).resolves.toBe('1.0');
    await expect(page.getByLabel('State').inputValue()).resolves.toBe('offline');
    await expect(page.getByLabel('Sort').inputValue()).resolves.toBe('name');
  };
  await check();
  await page.getByLabel('Search').fill('house 7');
  await page.getByText('4 devices').waitFor();
  await page.waitForURL(/search=house/);
  await page.reload();
  await page.getByText('4 devices').waitFor();
  await page.getByLabel('Search').fill('');
  await check();
  await page.getByLabel('Search').fill('nowhere');
  await page.getByText('No device matches').waitFor();
});

it('says how many devices are hit before it does anything, and hits these', async () => {
  const page = await openList('/devices?tag=site-7');
  await page.getByLabel('Select the 100 that are loaded').check();
  await page.getByText('100 selected').waitFor();
  await page.getByLabel('Select device-00107').uncheck();
  await page.getByRole('combobox', { name: 'Action' }).selectOption('block');
  const go = page.getByRole('button', { name: 'Go on' });
  await go.click();
  const dialog = page.getByRole('dialog', { name: 'Block: 99 devices' });
  await dialog.getByText('This is done to 99 devices').waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  expect(await countBlocked()).toBe(0);

  await go.click();
  await dialog.getByRole('button', { name: 'Block (99)' }).click();
  await page.getByText('Done: 99').waitFor();
  expect(await countBlocked()).toBe(99);
});

it('says how many match when all are selected, also those that are not loaded', async () => {
  const page = await openList('/devices?tag=row-3');
  await page.getByLabel('Select the 500 that are loaded').check();
  await page.getByRole('button', { name: 'Select all 1429 that match' }).click();
  await page.getByRole('combobox', { name: 'Action' }).selectOption('disconnect');
  await page.getByRole('button', { name: 'Go on' }).click();
  await page
    .getByRole('dialog', { name: 'Disconnect: 1429 devices' })
    .getByRole('button', { name: 'Cancel' })
    .click();
});

it('keeps the tab, the metric, the range and what was typed over a reload', async () => {
  const values = ['humidity', 'temperature'].map((metric) => ({
    device_id: 'device-00001',
    metric,
    at: new Date(),
    value: 21.5,
  }));
  await shown.cloud.get(Database).insertInto('readings').values(values).execute();
  const page = await openList('/devices/device-00001');
  await page.getByRole('tab', { name: 'Readings' }).click();
  await page.getByLabel('Metric').selectOption('temperature');
  const range = page.getByRole('combobox', { name: 'The last' });
  await range.selectOption('15 minutes');
  await page.getByRole('img', { name: /^temperature: 1 points/ }).waitFor();
  await page.reload();
  await page.getByRole('img', { name: /^temperature: 1 points/ }).waitFor();
  await expect(range.locator('option:checked').textContent()).resolves.toBe('15 minutes');
  await expect(page.getByRole('tab', { name: 'Readings' }).getAttribute('aria-selected')).resolves.toBe(
    'true',
  );

  await page.getByRole('tab', { name: 'Send' }).click();
  await page.getByLabel('Event').fill('vent');
  await page.getByRole('textbox', { name: 'Notes' }).fill('Ask Anna');
  await page.reload();
  await expect(page.getByLabel('Event').inputValue()).resolves.toBe('vent');
  await expect(page.getByRole('textbox', { name: 'Notes' }).inputValue()).resolves.toBe('Ask Anna');
});
