/** The console with several operators: what each may do, and what one sees of what another does. */
import { readFile } from 'node:fs/promises';
import { Database } from '../src/database/database.js';
import { Console } from './support/console.js';

/** More than a page waits before it asks again. */
const REFRESHED = '00:11';

let shown: Console;

beforeAll(async () => (shown = await Console.start()), 120_000);
beforeEach(() =>
  shown.cloud
    .get(Database)
    .insertInto('devices')
    .values({ id: 'lamp' })
    .onConflict((conflict) => conflict.doNothing())
    .execute(),
);
afterEach(async () => expect(await shown.closePages()).toEqual([]));
afterAll(() => shown.close());

it('hides from a viewer what would be refused', async () => {
  const page = await shown.openAs('viewer');
  await page.goto('/devices');
  await page.getByRole('link', { name: 'lamp' }).click();
  await page.getByText('Never seen').waitFor();
  for (const name of ['Block', 'Revoke', 'Save'])
    expect(await page.getByRole('button', { name }).count()).toBe(0);
  for (const name of ['Enrol', 'Operators', 'API keys', 'Audit'])
    expect(await page.getByRole('link', { name, exact: true }).count()).toBe(0);
  await page.getByRole('tab', { name: 'Send' }).click();
  await page.getByText('Only operators send to devices').waitFor();
});

it('logs in by name and password, says when they are wrong, changes the password, and logs out', async () => {
  const [name, password, newPassword] = ['ada', 'correct horse battery', 'battery horse correct'];
  const body = JSON.stringify({ name, password, role: 'viewer' });
  expect(await shown.cloud.http('POST', '/api/v1/operators', { body })).toMatchObject({ status: 201 });
  const page = await shown.open();
  const logIn = async (typed: string): Promise<void> => {
    await page.getByLabel('Name').fill(name);
    await page.getByLabel('Password').fill(typed);
    await page.getByRole('button', { name: 'Log in' }).click();
  };
  await page.goto('/devices?state=offline');
  await logIn(newPassword);
  await page.getByRole('alert').filter({ hasText: /\w/ }).waitFor();
  expect(shown.takeProblems(/ status of 401 .*\/api\/v1\/login\)$/)).toHaveLength(1);
  await logIn(password);
  await page.getByText('No device matches').waitFor();

  const menu = page.getByText(name, { exact: true });
  await menu.click();
  await page.getByRole('link', { name: 'My password' }).click();
  await page.getByLabel(/^The old one/).fill(password);
  await page.getByLabel(/^The new one, at least/).fill(newPassword);
  await page.getByLabel(/^The new one again/).fill(newPassword);
  await page.getByRole('button', { name: 'Change it' }).click();
  await page.getByText('Your password is changed').waitFor();
  await menu.click();
  await page.getByRole('button', { name: 'Log out' }).click();
  await logIn(newPassword);
  await page.getByRole('heading', { name: 'My password' }).waitFor();
});

it('shows codes of claims once: as text, as QR codes and as CSV', async () => {
  const page = await shown.openAs('operator');
  await page.goto('/enrol');
  await page.getByLabel(/^Device ids/).fill('pump 1\n=pump');
  await page.getByRole('button', { name: 'Make the codes' }).click();
  await page.getByRole('img', { name: 'The code for pump 1, as a QR code' }).waitFor();
  const codes = await page.locator('.codes code').allTextContents();
  expect(codes).toHaveLength(2);
  const downloading = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save as CSV' }).click();
  const csv = await readFile(await (await downloading).path(), 'utf8');
  const lines = csv.split('\r\n').map((line) => line.split(','));
  expect(lines.slice(0, 3).map(([device, code]) => [device, code])).toEqual([
    ['device', 'code'],
    ['pump 1', codes[0]],
    // A formula otherwise.
    ["'=pump", codes[1]],
  ]);
  await page.getByRole('button', { name: 'I have kept them' }).click();
  await page.getByRole('cell', { name: 'pump 1', exact: true }).waitFor();
  expect(await page.content()).not.toContain(codes[0]);
});

it('shows an API key once, and deletes it', async () => {
  const page = await shown.openAs('admin');
  await page.goto('/api-keys');
  await page.getByLabel('Name').fill('grafana');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  const key = (await page.getByRole('region', { name: 'The new key' }).locator('code').textContent())!;
  const me = (): Promise<{ status: number }> =>
    shown.cloud.http('GET', '/api/v1/me', { headers: { authorization: `Bearer ${key}` } });
  expect(await me()).toMatchObject({ status: 200, body: { name: 'grafana', role: 'viewer' } });
  await page.getByRole('button', { name: 'I have kept it' }).click();
  await page.getByRole('cell', { name: 'grafana', exact: true }).waitFor();
  expect(await page.content()).not.toContain(key);
  await page.getByRole('button', { name: 'Delete the key grafana' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('No key yet').waitFor();
  expect(await me()).toMatchObject({ status: 401 });
});

it('shows what another operator has changed, without a reload', async () => {
  const one = await shown.openAs('admin');
  const other = await shown.openAs('operator');
  const list = await other.context().newPage();
  for (const page of [other, list]) await page.clock.install();
  await list.goto('/devices');
  await list.getByRole('link', { name: 'lamp' }).waitFor();
  for (const page of [one, other]) await page.goto('/devices/lamp');

  await one.getByLabel('Tags, separated by commas').fill('north, roof');
  await one.getByRole('button', { name: 'Save' }).click();
  await one.getByText('Saved.', { exact: true }).waitFor();
  await one.getByRole('button', { name: 'Block' }).click();
  await one.getByRole('dialog').getByRole('button', { name: 'Block' }).click();
  await one.getByText('Blocked', { exact: true }).waitFor();

  for (const page of [other, list]) await page.clock.fastForward(REFRESHED);
  const row = list.getByRole('listitem').filter({ hasText: 'lamp' });
  await row.getByText('roof', { exact: true }).waitFor();
  await row.getByText('Blocked', { exact: true }).waitFor();
  await other.getByText('Blocked', { exact: true }).waitFor();
  await expect(other.getByLabel('Tags, separated by commas').inputValue()).resolves.toBe('north, roof');
});

it.each(['/', '/devices/lamp'])(
  'shows the login at once when the role of who looks at %s changes',
  async (path) => {
    const name = `vic${path.length}`;
    const page = await shown.openAs('operator', name);
    await page.clock.install();
    await page.goto(path);
    await page.getByText('Live', { exact: true }).waitFor();
    // Until what came before the page is read: the browser would report that the session has ended.
    await page.clock.fastForward('00:01');
    await shown.settle(page);
    const body = JSON.stringify({ role: 'viewer' });
    expect(await shown.cloud.http('PUT', `/api/v1/operators/${name}/role`, { body })).toMatchObject({
      status: 204,
    });
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
  },
);

it('shows the login with the next request of an operator who was deleted', async () => {
  const admin = await shown.openAs('admin');
  const page = await shown.openAs('admin', 'bob');
  await page.goto('/audit');
  await shown.settle(page);
  await admin.goto('/operators');
  await admin.getByRole('button', { name: 'Delete bob' }).click();
  await admin.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await admin.getByText('bob is deleted.').waitFor();

  await page.getByRole('link', { name: 'API keys' }).click();
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  // The browser reports the answer; the page itself reports nothing.
  expect(
    shown.takeProblems(/ status of 401 \(Unauthorized\) \(http:\/\/[^/]+\/api\/v1\/api-keys\)$/),
  ).toHaveLength(1);
});
