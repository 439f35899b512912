/** The console for everybody: with a screen reader, with a keyboard, on a phone, without motion, in any zone. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Locator, type Page } from 'playwright-core';
import { Database } from '../src/database/database.js';
import { Console } from './support/console.js';
import { fillWithGreenhouses, HERO, insertWideDevice } from './support/greenhouses.js';

const AXE = createRequire(join(process.cwd(), 'package.json')).resolve('axe-core/axe.min.js');
const PASSWORD = 'correct horse battery';
const TABS = ['messages', 'readings', 'connections', 'send', 'deliveries', 'settings', 'log', 'audit'];
/** Of 125 bytes, without a place to break it. */
const WIDE = 'w'.repeat(125);
const PATHS = [
  ...['/', '/devices', '/enrol', '/operators', '/api-keys', '/audit', '/password'],
  ...TABS.map((tab) => `/devices/${HERO}?tab=${tab}`),
];
const WIDE_PATHS = ['/', '/devices', ...TABS.map((tab) => `/devices/${WIDE}?tab=${tab}`)];
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };
const WIDTH = 'document.documentElement.scrollWidth';
/** In the page: what moves by itself, or would if it changed. */
const MOVING = `[...document.querySelectorAll('*')].filter((each) => {
  const { transitionDuration, animationName } = getComputedStyle(each);
  return animationName !== 'none' || transitionDuration !== '0s';
}).length + document.getAnimations().length`;
/** In the page: what is serious, with all rules of axe, or with some. */
const seriousBy = (
  rules?: readonly string[],
): string => `axe.run(${rules ? JSON.stringify({ runOnly: rules }) : ''})
  .then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => id + ' at ' + nodes.map(({ target }) => target).join()))`;
/** The others do not depend on colours. */
const SCHEMES = { light: seriousBy(), dark: seriousBy(['color-contrast']) } as const;

/** What is wrong with the pages, by what was tried. */
interface Findings {
  readonly light: string[];
  readonly dark: string[];
  readonly phone: string[];
  readonly largeText: string[];
  readonly motion: string[];
}

let shown: Console;
let findings: Findings;

beforeAll(async () => {
  shown = await Console.start();
  await fillWithGreenhouses(shown.cloud);
  findings = await visitAll();
}, 180_000);
afterEach(async () => expect(await shown.closePages()).toEqual([]));
afterAll(() => shown.close());

/** Opens each page once, and tries everything there. */
async function visitAll(): Promise<Findings> {
  const found: Findings = { light: [], dark: [], phone: [], largeText: [], motion: [] };
  const page = await shown.openAs('admin', 'ada', { viewport: DESKTOP, reducedMotion: 'reduce' });
  await page.goto('/');
  await page.evaluate(await readFile(AXE, 'utf8'));
  for (const path of PATHS) {
    await open(page, path);
    if ((await page.evaluate<number>(MOVING)) > 0) found.motion.push(path);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      const serious = await page.evaluate<string[]>(SCHEMES[colorScheme]);
      found[colorScheme].push(...serious.map((each) => `${path}: ${each}`));
    }
    await measure(page, path, found);
  }
  await insertWideDevice(shown.cloud.get(Database), WIDE);
  for (const path of WIDE_PATHS) {
    await open(page, path);
    await measure(page, path, found);
  }
  // There is no agent whose log could be read.
  shown.takeProblems(/ status of 409 .*\/log\?lines=\d+\)$/);
  return found;
}

/** As a link does, without loading the console again. */
async function open(page: Page, path: string): Promise<void> {
  await page.evaluate(`history.pushState(null, '', ${JSON.stringify(path)})`);
  await shown.settle(page);
}

/** Notes whether the page is too wide for a phone. */
async function measure(page: Page, path: string, { phone, largeText }: Findings): Promise<void> {
  await page.setViewportSize(PHONE);
  await shown.draw(page);
  if ((await page.evaluate<number>(WIDTH)) > PHONE.width) phone.push(path);
  await page.setViewportSize({ ...PHONE, width: 2 * PHONE.width });
  await page.evaluate("document.documentElement.style.fontSize = '200%'");
  await shown.draw(page);
  if ((await page.evaluate<number>(WIDTH)) > 2 * PHONE.width) largeText.push(path);
  await page.evaluate("document.documentElement.style.fontSize = ''");
  await page.setViewportSize(DESKTOP);
}

it('has nothing serious for axe on any page, in light', () => expect(findings.light).toEqual([]));
it('has nothing serious for axe on any page, in dark', () => expect(findings.dark).toEqual([]));
it('never scrolls sideways at 360 px', () => expect(findings.phone).toEqual([]));
it('never scrolls sideways with text of twice the size', () => expect(findings.largeText).toEqual([]));
it('moves nothing for who wants no motion', () => expect(findings.motion).toEqual([]));

it('shows times in the zone of the viewer, with the exact UTC', async () => {
  const page = await shown.openAs('viewer', 'zoe', { timezoneId: 'Asia/Kolkata' });
  await page.goto('/devices/fresno-7');
  const time = page.getByRole('region', { name: 'State' }).locator('time').first();
  const at = new Date((await time.getAttribute('datetime'))!);
  await expect(time.getAttribute('title')).resolves.toBe(at.toISOString());
  const local = at.toLocaleTimeString('en-GB', { timeZone: 'Asia/Kolkata' });
  await expect(time.textContent()).resolves.toContain(local);
});

/** Presses Tab until it has the focus, once it is there: what is loaded later comes behind the focus. */
async function tabTo(target: Locator, tab = 'Tab'): Promise<void> {
  await target.waitFor();
  for (let pressed = 0; pressed < 80; pressed++) {
    if (await isFocused(target)) return;
    await target.page().keyboard.press(tab);
  }
  throw new Error(`80 times ${tab} do not reach ${String(target)}`);
}

async function isFocused(target: Locator): Promise<boolean> {
  return (await target.and(target.page().locator(':focus')).count()) === 1;
}

async function press(target: Locator, key = 'Enter', tab?: string): Promise<void> {
  await tabTo(target, tab);
  await target.page().keyboard.press(key);
}

async function type(target: Locator, text: string): Promise<void> {
  await tabTo(target);
  await target.page().keyboard.type(text);
}

async function logInByKeyboard(): Promise<Page> {
  const body = JSON.stringify({ name: 'kay', role: 'operator', password: PASSWORD });
  expect(await shown.cloud.http('POST', '/api/v1/operators', { body })).toMatchObject({ status: 201 });
  const page = await shown.open();
  await page.goto('/devices');
  await type(page.getByLabel('Name'), 'kay');
  await type(page.getByLabel('Password'), PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Devices' }).waitFor();
  return page;
}

it('can be used by keyboard alone', async () => {
  const device = await shown.cloud.fakeDeviceWithToken('antalya-1');
  const page = await logInByKeyboard();
  await press(page.getByRole('link', { name: 'Antalya, house 1 (antalya-1)' }));
  await tabTo(page.getByRole('tab', { name: 'Messages', selected: true }));
  for (const name of ['Readings', 'Connections', 'Send']) {
    await page.keyboard.press('ArrowRight');
    await page.getByRole('tab', { name, selected: true }).waitFor();
  }
  await type(page.getByLabel('Event'), 'vent');
  await press(page.getByRole('button', { name: 'Send' }), 'Space');
  (await device.nextRequest()).reply('opened');
  await page.getByRole('status', { name: 'Outcome' }).getByText('"opened"').waitFor();

  const disconnect = page.getByRole('button', { name: 'Disconnect' });
  const dialog = page.getByRole('dialog');
  await press(disconnect, 'Enter', 'Shift+Tab');
  await dialog.waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  expect(await isFocused(disconnect)).toBe(true);
  await page.keyboard.press('Enter');
  await press(dialog.getByRole('button', { name: 'Cancel' }));
  await dialog.waitFor({ state: 'hidden' });
  expect(await isFocused(disconnect)).toBe(true);
  await page.keyboard.press('Enter');
  await press(dialog.getByRole('button', { name: 'Disconnect' }), 'Space');
  expect(await device.closed).toMatchObject({ code: expect.any(Number) as number });
});
