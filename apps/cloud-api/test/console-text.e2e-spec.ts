/** What devices and operators write is text in the console, wherever it is shown. */
import { randomUUID } from 'node:crypto';
import { tuple } from '@fedecks/nest/wire';
import { of } from 'rxjs';
import { type Page } from 'playwright-core';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { Database } from '../src/database/database.js';
import { CREDENTIALS } from './support/cloud-api.js';
import { Console } from './support/console.js';

/** The end of a script, markup, an entity, a template and an escape, in 64 characters. */
const HOSTILE = '</script><img src=x onerror=document.title=1><b>&lt;{{1}}%2F/?#=';
const ENCODED = encodeURIComponent(HOSTILE);
const DEVICE = `/devices/${ENCODED}`;
/** In the page: what is read in it, also in its fields. */
const TEXT = `[document.body.innerText, ...[...document.querySelectorAll('input, textarea, option, [title], [aria-label]')]
  .flatMap((each) => [each.value, each.textContent, each.title, each.ariaLabel])].join('\\n')`;

let shown: Console;
let page: Page;

beforeAll(async () => {
  shown = await Console.start();
  await insertHostileRows();
  await shown.cloud.writeLogins({ devices: ['*'] });
  const device = shown.cloud.device(HOSTILE);
  device.onRequest('logs', () => of(HOSTILE));
  device.onRequest(HOSTILE, () => ({ [HOSTILE]: HOSTILE }));
  device.onDelivery(HOSTILE, () => HOSTILE);
  await device.login(CREDENTIALS);
  await device.send(tuple('hello', { version: HOSTILE, settings: { [HOSTILE]: HOSTILE } }));
  await device.send(tuple('telemetry', { [HOSTILE]: 1 }));
  await device.send(tuple(HOSTILE, { [HOSTILE]: [HOSTILE] }));
  page = await shown.openAs('admin');
}, 120_000);
afterEach(async () => expect(await shown.reported()).toEqual([]));
afterAll(() => shown.close());

/** What no API takes, but a database may have. */
async function insertHostileRows(): Promise<void> {
  const database = shown.cloud.get(Database);
  const [name, at] = [HOSTILE, new Date()];
  const device = { id: HOSTILE, name, tags: [HOSTILE], notes: HOSTILE };
  await database.insertInto('devices').values(device).execute();
  const operator = { id: randomUUID(), name, password_hash: 'none', role: 'viewer' } as const;
  await database.insertInto('operators').values(operator).execute();
  const ends = { created_by: HOSTILE, expires_at: new Date(Date.now() + 60_000) };
  const key = { id: randomUUID(), name, key_hash: Buffer.from('key'), role: 'viewer', ...ends } as const;
  await database
    .insertInto('api_keys')
    .values({ ...key, last_used_at: null })
    .execute();
  const claim = {
    id: randomUUID(),
    code_hash: Buffer.from('claim'),
    device_id: HOSTILE,
    tags: [HOSTILE],
    ...ends,
  };
  const used = { used_at: at, used_by: HOSTILE, confirmed_at: at };
  await database
    .insertInto('claims')
    .values({ ...claim, ...used })
    .execute();
  const entry = {
    actor: HOSTILE,
    actor_kind: 'operator',
    address: HOSTILE,
    action: HOSTILE,
    target: HOSTILE,
  };
  const details = JSON.stringify({ [HOSTILE]: HOSTILE });
  await database
    .insertInto('audit')
    .values({ ...entry, details, status: 200 })
    .execute();
  const connection = {
    device_id: HOSTILE,
    came_at: at,
    went_at: at,
    address: HOSTILE,
    node_id: randomUUID(),
  };
  await database
    .insertInto('connections')
    .values({ ...connection, cause: HOSTILE, code: 1 })
    .execute();
}

/** The page shows the text at least so often, and has made nothing of it. */
async function expectText(count: number): Promise<void> {
  await eventually(
    async () => (await page.evaluate<string>(TEXT)).split(HOSTILE).length - 1,
    (found) => found >= count,
  );
  expect(await page.locator('body :is(img, script, b, iframe, object)').count()).toBe(0);
  expect(await page.title()).toMatch(/ – Fedecks$/);
}

/** Where, and how often at least. */
const PAGES: readonly (readonly [name: string, path: string, count: number])[] = [
  ['the overview', '/', 2],
  ['the list of devices', '/devices', 4],
  ['a filtered list', `/devices?search=${ENCODED}&tag=${ENCODED}`, 6],
  ['claims', '/enrol', 3],
  ['operators', '/operators', 2],
  ['API keys', '/api-keys', 2],
  ['the audit', '/audit', 5],
  ['a filtered audit', `/audit?actor=${ENCODED}`, 6],
  ['the messages of a device', `${DEVICE}?tab=messages`, 7],
  ['its readings', `${DEVICE}?tab=readings`, 7],
  ['its connections', `${DEVICE}?tab=connections`, 7],
  ['its settings', `${DEVICE}?tab=settings`, 7],
  ['its log', `${DEVICE}?tab=log`, 6],
  ['its audit', `${DEVICE}?tab=audit`, 10],
];

it.each(PAGES)('is text in %s', async (_name, path, count) => {
  await page.goto(path);
  await shown.settle(page);
  await expectText(count);
});

it('is text in questions, notices, answers and deliveries', async () => {
  await page.goto(`${DEVICE}?tab=send`);
  await page.getByLabel('Event').fill(HOSTILE);
  await page.getByLabel('Payload, as JSON').fill(`{ "": "${HOSTILE}" }`);
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByRole('heading', { name: 'Answer' }).waitFor();
  await expectText(7);
  await page.getByLabel('How').selectOption('deliveries');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByRole('tab', { name: 'Deliveries' }).click();
  await page.getByRole('cell', { name: 'done' }).waitFor();
  await expectText(8);
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await page.getByRole('dialog').getByText(HOSTILE).waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
  await page.getByText(`${HOSTILE} is disconnected.`).waitFor();
  await expectText(7);
});
