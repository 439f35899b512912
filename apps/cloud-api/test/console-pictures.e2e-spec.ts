/** The pictures of the console in the documents: `FEDECKS_PICTURES=1` makes them. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type FakeDevice } from '@fedecks/nest/testing';
import { type Page } from 'playwright-core';
import { documentsIn, read } from '../../../libs/fedecks/test/support/documents.js';
import { Console } from './support/console.js';
import { CONNECTED, fillWithGreenhouses, FLAPPING, HERO, letHoursPass } from './support/greenhouses.js';

const DIRECTORY = 'docs/images';
const SIZE = { width: 1280, height: 800 };
/** The signature of the format. */
const PNG = Buffer.from('89504e470d0a1a0a', 'hex');
const MAX_BYTES = 200_000;
/** For so long, in seconds, the fleet talks before the overview is taken, which shows five minutes. */
const SECONDS = 310;

let shown: Console;
let devices: FakeDevice[];

/** Lets devices talk as greenhouses do: some more in one second than in another. */
async function talk(): Promise<void> {
  for (let second = 0; second < SECONDS; second++) {
    const count = Math.round(9 + 4 * Math.sin(second / 9) + 3 * Math.random());
    for (let sent = 0; sent < count; sent++) {
      const device = devices[(second * 7 + sent) % devices.length]!;
      // What is measured by the one with readings of a day is in the database.
      device.send('telemetry', { uptimeS: second });
    }
    if (second % 12 === 5) await reconnect(FLAPPING);
    if (second % 23 === 20) await reconnect(CONNECTED[second % CONNECTED.length]!);
    if (second % 9 === 4) await ask(HERO);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

async function reconnect(id: string): Promise<void> {
  const index = CONNECTED.indexOf(id);
  await devices[index]!.disconnect();
  devices[index] = await shown.cloud.fakeDeviceWithToken(id);
}

async function ask(id: string): Promise<void> {
  const body = JSON.stringify({ event: 'vent', payload: { open: true } });
  const asked = shown.cloud.http('POST', `/api/v1/devices/${id}/requests`, { body });
  (await devices[CONNECTED.indexOf(id)]!.nextRequest()).reply({ percent: 35 });
  await asked;
}

/** The whole of the page, also what a screen of this size does not show at once. */
async function take(page: Page, name: string): Promise<void> {
  await shown.settle(page);
  await page.screenshot({ path: `${DIRECTORY}/${name}.png`, fullPage: true });
}

async function openReadings(page: Page): Promise<void> {
  await letHoursPass(shown.cloud);
  await page.goto(`/devices/${HERO}?tab=readings`);
  await page.getByLabel('Metric').selectOption('temperatureCelsius');
  await page.getByRole('combobox', { name: 'The last' }).selectOption('1 day');
}

async function makePictures(): Promise<void> {
  await mkdir(DIRECTORY, { recursive: true });
  shown = await Console.start();
  await fillWithGreenhouses(shown.cloud);
  devices = await Promise.all(CONNECTED.map((id) => shown.cloud.fakeDeviceWithToken(id)));
  const page = await shown.openAs('admin', 'ada', {
    viewport: SIZE,
    deviceScaleFactor: 1,
    timezoneId: 'UTC',
  });
  await page.goto('/');
  await talk();
  await take(page, 'overview');
  await letHoursPass(shown.cloud);
  await page.goto('/devices?sort=-stateSince');
  await take(page, 'devices');
  await page.emulateMedia({ colorScheme: 'dark' });
  await openReadings(page);
  await take(page, 'device');
  const problems = await shown.closePages();
  await Promise.all(devices.map((device) => device.disconnect()));
  await shown.close();
  expect(problems).toEqual([]);
}

if (process.env['FEDECKS_PICTURES'] === '1') it('are made', makePictures, 600_000);

it('are PNG files of at most 200 kB, and each is in a document', () => {
  const documents = ['README.md', ...['docs', 'apps'].flatMap(documentsIn)].map(read).join('\n');
  const names = readdirSync(DIRECTORY);
  expect(names).not.toEqual([]);
  for (const name of names) {
    expect(documents).toContain(`${DIRECTORY}/${name})`);
    const file = readFileSync(join(DIRECTORY, name));
    expect(file.subarray(0, PNG.length)).toEqual(PNG);
    expect(file.length).toBeLessThanOrEqual(MAX_BYTES);
  }
});
