/** What the console keeps: over a reload, by "back", while nobody sees it, and when its live connection is lost. */
import { sql } from 'kysely';
import { type Locator, type Page, type WebSocketRoute } from 'playwright-core';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { Database } from '../src/database/database.js';
import { Console } from './support/console.js';

/** Three pages of the API. */
const HOUSES = 1_200;
/** On the second page. */
const PLACE = 700;
/** In pixels. */
const ROW_HEIGHT = 44;
const MINUTE_MS = 60_000;
const NOT_LIVE = 'Not live: asking every few seconds';

let shown: Console;
let database: Database;

beforeAll(async () => {
  shown = await Console.start();
  database = shown.cloud.get(Database);
  await sql`
    INSERT INTO devices (id, name, tags, last_seen_at, state_since)
    SELECT 'house-' || lpad(n::text, 4, '0'), 'House ' || lpad((2000 - n)::text, 4, '0'), '{house}', now(), now()
    FROM generate_series(1, ${HOUSES}) AS n`.execute(database);
  const ago = (minutes: number) => ({ last_seen_at: new Date(Date.now() - minutes * MINUTE_MS) });
  const lamp = (id: string) => ({ id, tags: ['lamp'] });
  const lamps = [
    { ...lamp('lamp-a'), ...ago(35) },
    { ...lamp('lamp-b'), ...ago(3 * 60) },
    { ...lamp('lamp-c'), ...ago(3 * 24 * 60) },
  ];
  await database.insertInto('devices').values(lamps).execute();
  await sql`
    INSERT INTO readings (device_id, metric, at, value)
    SELECT 'lamp-a', metric, now() - n * interval '30 seconds', n
    FROM generate_series(1, 110) AS n, (VALUES ('lux'), ('volts')) AS metrics (metric)`.execute(database);
}, 120_000);
afterEach(async () => expect(await shown.closePages()).toEqual([]));
afterAll(() => shown.close());

const listOf = (page: Page): Locator => page.getByRole('list', { name: 'Devices' });
/** In the page. */
const SCROLL_TOP = `document.querySelector('[role="list"][aria-label="Devices"]').scrollTop`;
const scrollTopOf = (page: Page): Promise<number> => page.evaluate(SCROLL_TOP);

/** Scrolls to a place of the list that the browser has to keep. */
async function scrollTo(page: Page, row: number): Promise<void> {
  await page.evaluate(`${SCROLL_TOP} = ${row * ROW_HEIGHT}`);
  await eventually(
    () => page.evaluate<number>('history.state?.scrollTop'),
    (kept) => kept === row * ROW_HEIGHT,
  );
}

/** Opens a list without motion, so that a key scrolls at once, and scrolls to its second page. */
async function openAtPlace(path: string): Promise<Page> {
  const page = await shown.openAs('operator', undefined, { reducedMotion: 'reduce' });
  await page.goto(path);
  await page.getByText('Select the 500 that are loaded').waitFor();
  await listOf(page).press('End');
  await page.getByText('Select the 1000 that are loaded').waitFor();
  await scrollTo(page, PLACE);
  return page;
}

/** The live connection of a page, which can be cut. */
class LiveLink {
  private isUp = true;
  private current: WebSocketRoute | undefined;
  private waiting: (() => void)[] = [];

  async route(page: Page): Promise<void> {
    await page.routeWebSocket(/\/live/, async (socket) => {
      if (!this.isUp) await new Promise<void>((resolve) => this.waiting.push(resolve));
      socket.connectToServer();
      this.current = socket;
    });
  }

  async cut(): Promise<void> {
    this.isUp = false;
    await this.current?.close({ code: 4_000 });
  }

  mend(): void {
    this.isUp = true;
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

describe('The list of devices', () => {
  it('is as it was after a reload, and by "back": its filter, its order and its place', async () => {
    const page = await openAtPlace('/devices?tag=house&sort=name');
    const expectPlace = async (): Promise<void> => {
      // By name: the last of the ids comes first.
      const row = listOf(page).locator(`[aria-posinset="${PLACE + 1}"]`);
      await row.getByRole('link', { name: 'House 1500 (house-0500)' }).waitFor();
      expect(await scrollTopOf(page)).toBe(PLACE * ROW_HEIGHT);
      await expect(page.getByLabel('Tags').inputValue()).resolves.toBe('house');
      await expect(page.getByLabel('Sort').inputValue()).resolves.toBe('name');
    };
    await expectPlace();
    await page.reload();
    await expectPlace();
    await page.getByRole('link', { name: 'House 1500 (house-0500)' }).click();
    await page.getByRole('heading', { name: 'House 1500' }).waitFor();
    await page.goBack();
    await expectPlace();

    await page.getByLabel('Sort').selectOption('By id');
    await page.getByRole('link', { name: 'house-0001' }).waitFor();
    expect(await scrollTopOf(page)).toBe(0);
  });

  it('keeps its place when it is read again after its live connection was lost', async () => {
    const link = new LiveLink();
    const page = await openAtPlace('/devices?tag=house');
    await link.route(page);
    await page.reload();
    await page.getByText('Select the 1000 that are loaded').waitFor();
    await page.getByText('Live', { exact: true }).waitFor();
    await database.updateTable('devices').set({ name: 'Renamed' }).where('id', '=', 'house-0705').execute();
    await link.cut();
    await page.getByText(NOT_LIVE).waitFor();
    link.mend();
    await page.getByRole('link', { name: 'Renamed (house-0705)' }).waitFor();
    await page.getByText('Select the 1000 that are loaded').waitFor();
    expect(await scrollTopOf(page)).toBe(PLACE * ROW_HEIGHT);
  });

  it('shows a device once that moves to a later page while the pages are read', async () => {
    const page = await shown.openAs('operator', undefined, { reducedMotion: 'reduce' });
    await page.goto('/devices?tag=house&sort=lastSeen');
    await page.getByText('Select the 500 that are loaded').waitFor();
    const moved = database.updateTable('devices').set({ last_seen_at: new Date(Date.now() + MINUTE_MS) });
    await moved.where('id', '=', 'house-0001').execute();
    for (const loaded of [1_000, HOUSES]) {
      await listOf(page).press('End');
      await page.getByText(`Select the ${loaded} that are loaded`).waitFor();
    }
  });

  it('finds those that were seen last before a time or after it, also when that has passed since', async () => {
    const page = await shown.openAs('viewer');
    await page.clock.install();
    await page.goto('/devices?tag=lamp');
    const expectIds = async (...ids: readonly string[]): Promise<void> => {
      await page.getByText(`${ids.length} device`).waitFor();
      await expect(listOf(page).getByRole('link').allTextContents()).resolves.toEqual(ids);
    };
    await expectIds('lamp-a', 'lamp-b', 'lamp-c');
    const seen = page.getByLabel('Seen last');
    await seen.selectOption('Not for an hour');
    await page.waitForURL(/[?&]lastSeen=not-hour/);
    await expectIds('lamp-b', 'lamp-c');
    await page.clock.fastForward('30:00');
    await expectIds('lamp-a', 'lamp-b', 'lamp-c');

    await seen.selectOption('Not for a week');
    await page.getByText('No device matches').waitFor();
    await seen.selectOption('In the last day');
    await expectIds('lamp-a', 'lamp-b');
    await page.reload();
    await expectIds('lamp-a', 'lamp-b');
    await expect(seen.inputValue()).resolves.toBe('within-day');
  });
});

it('keeps the times between which the audit is read, in the zone of the viewer', async () => {
  const page = await shown.openAs('operator', 'ravi', { timezoneId: 'Asia/Kolkata' });
  const hour = 60 * MINUTE_MS;
  const noon = Math.floor(Date.now() / hour) * hour - 7 * 24 * hour;
  const entry = (target: string, time: number) => ({
    at: new Date(time),
    actor: 'ravi',
    actor_kind: 'operator',
    address: '::1',
    action: 'device.block',
    target,
    status: 204,
  });
  const entries = [entry('early', noon - hour), entry('then', noon), entry('late', noon + hour)];
  await database.insertInto('audit').values(entries).execute();
  const inIndia = (time: number): string => new Date(time + 5.5 * hour).toISOString().slice(0, 16);
  await page.goto('/audit?actor=ravi');
  await page.getByRole('cell', { name: 'early' }).waitFor();
  await page.getByLabel('From').fill(inIndia(noon));
  await page.getByLabel('Until').fill(inIndia(noon + hour));
  await page.getByRole('button', { name: 'Filter' }).click();
  const targets = page.getByRole('row').locator('td:nth-child(4)');
  const expectThen = async (): Promise<void> => {
    await eventually(
      () => targets.allTextContents(),
      (shownTargets) => shownTargets.join() === 'then',
    );
    await expect(page.getByLabel('From').inputValue()).resolves.toBe(inIndia(noon));
  };
  await expectThen();
  await page.reload();
  await expectThen();
});

describe('What is typed', () => {
  it('about a device is there after a reload, until it is saved, sent or undone', async () => {
    const page = await shown.openAs('operator');
    await page.goto('/devices/lamp-c?tab=send');
    const fields = {
      tags: page.getByLabel('Tags, separated by commas'),
      notes: page.getByRole('textbox', { name: 'Notes' }),
      way: page.getByLabel('How'),
      event: page.getByLabel('Event'),
      payload: page.getByLabel('Payload, as JSON'),
    };
    await fields.tags.fill('lamp, roof');
    await fields.notes.fill('Ask Anna\nbefore noon');
    await fields.way.selectOption('deliveries');
    await fields.event.fill('vent');
    await fields.payload.fill('{ "percent": 5');
    await page.reload();
    await page.getByText('Not yet saved.').waitFor();
    const valueOf = (name: keyof typeof fields): Promise<string> => fields[name].inputValue();
    expect(await valueOf('tags')).toBe('lamp, roof');
    expect(await valueOf('notes')).toBe('Ask Anna\nbefore noon');
    expect(await valueOf('way')).toBe('deliveries');
    expect(await valueOf('event')).toBe('vent');
    expect(await valueOf('payload')).toBe('{ "percent": 5');

    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved.', { exact: true }).waitFor();
    await fields.notes.fill('No');
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.reload();
    await fields.notes.waitFor();
    expect(await valueOf('notes')).toBe('Ask Anna\nbefore noon');
    await expect(page.getByText('Not yet saved.').count()).resolves.toBe(0);
    const { tags } = await database
      .selectFrom('devices')
      .select('tags')
      .where('id', '=', 'lamp-c')
      .executeTakeFirstOrThrow();
    expect(tags).toEqual(['lamp', 'roof']);
  });

  it('in other forms is there after a reload, until it is done, but no password is kept', async () => {
    const page = await shown.openAs('admin');
    await page.goto('/enrol');
    await page.getByLabel(/^Device ids/).fill('pump-1\npump-2');
    await page.getByLabel('Good for how many days').fill('3');
    await page.reload();
    await expect(page.getByLabel(/^Device ids/).inputValue()).resolves.toBe('pump-1\npump-2');
    await expect(page.getByLabel('Good for how many days').inputValue()).resolves.toBe('3');
    await page.getByRole('button', { name: 'Make the codes' }).click();
    await page.getByRole('button', { name: 'I have kept them' }).click();
    await page.reload();
    await expect(page.getByLabel(/^Device ids/).inputValue()).resolves.toBe('');
    await expect(page.getByLabel('Good for how many days').inputValue()).resolves.toBe('7');

    await page.goto('/operators');
    await page.getByLabel('Name').fill('bea');
    await page.getByLabel(/^Password/).fill('correct horse battery');
    const role = page.getByRole('combobox', { name: 'Role', exact: true });
    await role.selectOption('admin');
    await page.reload();
    await expect(page.getByLabel('Name').inputValue()).resolves.toBe('bea');
    await expect(role.inputValue()).resolves.toBe('admin');
    await expect(page.getByLabel(/^Password/).inputValue()).resolves.toBe('');
    expect(await page.evaluate('JSON.stringify(sessionStorage)')).not.toContain('horse');
  });
});

describe('A plot', () => {
  /** Chooses the second quarter of its time. */
  async function dragOver(plot: Locator): Promise<void> {
    const page = plot.page();
    const over = plot.locator('.u-over');
    await over.scrollIntoViewIfNeeded();
    const { x, y, width, height } = (await over.boundingBox())!;
    await page.mouse.move(x + width / 4, y + height / 2);
    await page.mouse.down();
    await page.mouse.move(x + width / 2, y + height / 3, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL(/[?&]part=/);
  }

  it('shows the part over which the viewer drags, also after a reload and of another metric', async () => {
    const page = await shown.openAs('viewer');
    await page.goto('/devices/lamp-a?tab=readings&metric=lux');
    const plot = page.getByRole('img', { name: /^lux: 1\d\d points/ });
    await plot.waitFor();
    await dragOver(plot);
    const points = async (metric: string): Promise<number> => {
      await page.getByRole('img', { name: new RegExp(`^${metric}: \\d\\d points`) }).waitFor();
      return Number(await page.locator('[data-points]').getAttribute('data-points'));
    };
    // A quarter of an hour, with two in a minute.
    expect(Math.abs((await points('lux')) - 30)).toBeLessThanOrEqual(2);
    const chosen = page.getByText(/^From .+ to /);
    const text = await chosen.textContent();
    await page.reload();
    expect(Math.abs((await points('lux')) - 30)).toBeLessThanOrEqual(2);
    await expect(chosen.textContent()).resolves.toBe(text);
    await page.getByLabel('Metric').selectOption('volts');
    expect(Math.abs((await points('volts')) - 30)).toBeLessThanOrEqual(2);
    await page.getByLabel('Metric').selectOption('lux');

    await page.getByRole('button', { name: 'Show all of the range' }).click();
    await plot.waitFor();
    expect(page.url()).not.toContain('part');
    await dragOver(plot);
    expect(Math.abs((await points('lux')) - 30)).toBeLessThanOrEqual(2);
    await page.locator('.u-over').dblclick();
    await plot.waitFor();
    expect(page.url()).not.toContain('part');
  });
});

describe('The messages of a device', () => {
  /** Each message that is shown, the newest first. */
  const messagesOf = (page: Page): Promise<string[]> =>
    page.getByRole('list', { name: 'Messages' }).locator('summary .code').allTextContents();

  it('are not asked for while nobody sees the page, and are complete when somebody does', async () => {
    const page = await shown.openAs('viewer');
    await page.clock.install();
    const opened = page.waitForEvent('websocket');
    await page.goto('/devices/lamp-a');
    const device = await shown.cloud.fakeDeviceWithToken('lamp-a');
    await page.getByText('Live', { exact: true }).waitFor();
    device.send('before');
    await page.getByText('"before"').first().waitFor();
    // Until what came before the page is read.
    await page.clock.fastForward('00:01');
    await shown.settle(page);

    const closed = (await opened).waitForEvent('close');
    await hide(page, true);
    await closed;
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('websocket', (socket) => asked.push(socket.url()));
    device.send('meanwhile');
    await page.clock.fastForward('01:00');
    // Answered after it.
    await device.request('nothing', null);
    await shown.settle(page);
    expect(asked).toEqual([]);
    expect(await messagesOf(page)).toEqual(['"before"']);

    await shown.cloud.written();
    const read = page.waitForResponse(/\/messages$/);
    await hide(page, false);
    await read;
    await page.getByText('"meanwhile"').first().waitFor();
    await shown.settle(page);
    device.send('after');
    await page.getByText('"after"').first().waitFor();
    expect(await messagesOf(page)).toEqual(['"after"', '"meanwhile"', '"before"']);
    await device.disconnect();
  });

  it('are complete, and each is shown once, when the live connection was lost and is back', async () => {
    const link = new LiveLink();
    const page = await shown.openAs('viewer');
    await page.clock.install();
    await link.route(page);
    await page.goto('/devices/lamp-b');
    const device = await shown.cloud.fakeDeviceWithToken('lamp-b');
    await page.getByText('Live', { exact: true }).waitFor();
    device.send('before');
    await page.getByText('"before"').first().waitFor();
    await link.cut();
    await page.getByText(NOT_LIVE).waitFor();
    device.send('meanwhile');
    await database.updateTable('devices').set({ notes: 'Seen' }).where('id', '=', 'lamp-b').execute();
    await page.clock.fastForward('00:05');
    await eventually(
      () => page.getByRole('textbox', { name: 'Notes' }).inputValue(),
      (notes) => notes === 'Seen',
    );
    await page.getByText(NOT_LIVE).waitFor();

    await shown.cloud.written();
    const read = page.waitForResponse(/\/messages$/);
    link.mend();
    await page.getByText('Live', { exact: true }).waitFor();
    device.send('after');
    await page.getByText('"after"').first().waitFor();
    await read;
    await page.getByText('"meanwhile"').first().waitFor();
    await shown.settle(page);
    expect(await messagesOf(page)).toEqual(['"after"', '"meanwhile"', '"before"']);
    await device.disconnect();
  });
});

/** As when another tab is shown, and when this one is again. */
async function hide(page: Page, isHidden: boolean): Promise<void> {
  await page.evaluate(`
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => ${isHidden} });
    document.dispatchEvent(new Event('visibilitychange'))`);
}

it('names each page, and screen readers say where a link has led', async () => {
  const page = await shown.openAs('admin');
  const titles: string[] = [];
  for (const path of ['/', '/devices', '/devices/lamp-a', '/devices/house-0007', '/enrol', '/operators']) {
    await page.goto(path);
    await shown.settle(page);
    titles.push(await page.title());
  }
  expect(titles).toEqual([
    'Overview – Fedecks',
    'Devices – Fedecks',
    'lamp-a – Devices – Fedecks',
    'House 1993 – Devices – Fedecks',
    'Enrol devices – Fedecks',
    'Operators – Fedecks',
  ]);
  for (const [link, title] of [
    ['API keys', 'API keys'],
    ['Audit', 'Audit'],
  ] as const) {
    await page.getByRole('link', { name: link }).click();
    await page.getByRole('status').getByText(title, { exact: true }).waitFor({ state: 'attached' });
    expect(await page.title()).toBe(`${title} – Fedecks`);
  }
  await page.goto('/nowhere');
  await page.getByText('There is no such page').waitFor();
  expect(await page.title()).toBe('No such page – Fedecks');
});
