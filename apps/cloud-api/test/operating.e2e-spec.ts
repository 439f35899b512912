/** docs/operating.md: each command that it shows works, each control that it names exists, and no alert is left out. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { Database } from '../src/database/database.js';
import { openDatabase } from '../src/database/open-database.js';
import { API_KEY, CloudApi } from './support/cloud-api.js';
import { hasPrograms, ShBlocks } from './support/sh-blocks.js';
import { TestDatabase } from './support/test-database.js';

const DOCUMENT = new URL('../../../docs/operating.md', import.meta.url);
const CONSOLE = fileURLToPath(new URL('../console/src', import.meta.url));

let directory: string;
beforeAll(async () => (directory = await mkdtemp(join(tmpdir(), 'cloud-api-operating-'))));
afterAll(() => rm(directory, { recursive: true }));

const addressOf = ({ port }: CloudApi): string => `http://127.0.0.1:${port}`;

function commands(env: Readonly<Record<string, string>>): ShBlocks {
  const blocks = new ShBlocks(DOCUMENT, directory, env);
  blocks.define('fleet()');
  return blocks;
}

/** A fleet with one device that is online, and answers. */
async function startFleet(): Promise<CloudApi> {
  const cloud = await CloudApi.start();
  await cloud.writeLogins({ devices: ['*'] });
  const { device } = await cloud.connect('greenhouse-7');
  device.onRequest('logs', async function* () {
    yield 'Connected';
  });
  device.onRequest('restart', () => undefined);
  device.onDelivery('settings', () => undefined);
  const database = cloud.get(Database);
  const first_seen_at = new Date();
  await database
    .insertInto('devices')
    .values([
      { id: 'greenhouse-7', tags: ['north'] },
      { id: 'greenhouse-8', tags: ['north'], first_seen_at, offline_cause: 'connection_lost' },
      { id: 'greenhouse-9' },
      { id: 'greenhouse-10' },
    ])
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ tags: ['north'] }))
    .execute();
  await database
    .insertInto('readings_by_hour')
    .values({
      device_id: 'greenhouse-7',
      metric: 'temperatureCelsius',
      at: new Date('2026-01-30T13:00:00Z'),
      min: 20,
      sum: 63,
      max: 22,
      count: 3,
    })
    .execute();
  return cloud;
}

(hasPrograms('curl', 'jq') ? describe : describe.skip)('a day', () => {
  it('is spent with the commands that it shows', async () => {
    const cloud = await startFleet();
    const env = { API_KEY, CLOUD: addressOf(cloud), OLD_KEY: API_KEY, OLD: addressOf(cloud) };
    const blocks = commands(env);
    const isOnline = async (): Promise<number> =>
      (JSON.parse(await blocks.run('{ devices, nodes, flapping }')) as { devices: { online: number } })
        .devices.online;
    await eventually(isOnline, (online) => online === 1);
    expect(await blocks.run('state=offline&sort')).toMatch(
      /^greenhouse-8\t.*\tconnection_lost\n20.*Z\t\t\t\n$/,
    );
    expect(await blocks.run('state=flapping')).toBe('');
    expect(await blocks.run('metric=')).toBe('2026-01-30T13:00:00.000Z\t20\t21\t22\n');
    expect(await blocks.run('identify')).toContain('identify\tqueued\t\n');
    expect(await blocks.run('dryRun')).toMatch(/"selected":2.*"delivered":2/);
    expect(await blocks.run('/restart')).toBe('Connected\n');
    await blocks.run('/block"\n');
    const { items } = (await cloud.http('GET', '/api/v1/devices?state=blocked')).body as {
      items: { id: string }[];
    };
    expect(items.map(({ id }) => id)).toEqual(['greenhouse-9']);
    const audit = (await blocks.run('audit?')).split('\n');
    expect(audit[0]).toMatch(/Z\tAPI_KEY\tdevice\.block\t20\d$/);
    expect(audit[1]).toMatch(/Z\tAPI_KEY\t.*north/);
    expect(await blocks.run('grace')).toContain('"role":"operator"');
    expect(await blocks.run('health/ready')).toContain('ok');

    const next = await CloudApi.start();
    await commands({ ...env, CLOUD: addressOf(next) }).run('ndjson');
    const taken = await next.http('GET', '/api/v1/devices?tag=north');
    expect(taken.body).toMatchObject({ items: [{ id: 'greenhouse-7' }, { id: 'greenhouse-8' }] });
    expect((await next.http('GET', '/api/v1/devices/greenhouse-9')).body).toMatchObject({ blocked: true });
    await Promise.all([next.close(), cloud.close()]);
    // The next tests run these.
    expect(blocks.rest.map((block) => /tar|mv|pg_dump|OLD/.exec(block)?.[0])).toEqual([
      'tar',
      'mv',
      'pg_dump',
      'OLD',
    ]);
  });
});

it('restores the embedded database, and keeps the newest revocations', async () => {
  const place = await TestDatabase.create({ kind: 'pglite' });
  const { directory: dataDirectory } = place.config;
  const blocks = commands({ DATA_DIR: dataDirectory });
  const first = openDatabase(place.config);
  await first.insertInto('devices').values({ id: 'greenhouse-1' }).execute();
  await first.destroy();
  const revocations = join(dataDirectory, 'revocations.json');
  await writeFile(revocations, 'old');
  await blocks.run('tar -C "$DATA_DIR" -cz');
  await writeFile(revocations, 'new');
  await blocks.run('mv "$DATA_DIR"');
  expect(await readFile(revocations, 'utf8')).toBe('new');
  const again = openDatabase(place.config);
  expect(await again.selectFrom('devices').select('id').execute()).toEqual([{ id: 'greenhouse-1' }]);
  await again.destroy();
  await rm(`${dataDirectory}.old`, { recursive: true });
  await place.close();
});

(hasPrograms('pg_dump', 'pg_restore') ? it : it.skip)('restores Postgres', async () => {
  const [old, fresh] = await Promise.all([
    TestDatabase.create({ kind: 'postgres' }),
    TestDatabase.create({ kind: 'postgres', tables: false }),
  ]);
  const before = openDatabase(old.config);
  await before.insertInto('devices').values({ id: 'greenhouse-1' }).execute();
  await commands({ DATABASE_URL: old.config.url!, NEW_DATABASE_URL: fresh.config.url! }).run('pg_dump');
  const after = openDatabase(fresh.config);
  expect(await after.selectFrom('devices').select('id').execute()).toEqual([{ id: 'greenhouse-1' }]);
  await Promise.all([before.destroy(), after.destroy()]);
  await Promise.all([old.close(), fresh.close()]);
});

it('says what to do when each alert comes in', () => {
  const rules = readFileSync(new URL('../deploy/alerts.yml', import.meta.url), 'utf8');
  const alerts = [...rules.matchAll(/alert: (\w+)/g)].map(([, name]) => name);
  const answered = [...readFileSync(DOCUMENT, 'utf8').matchAll(/^\| `(\w+)` .*\|$/gm)].map(
    ([, name]) => name,
  );
  expect(answered.filter((name) => /^[A-Z][a-z]/.test(name!))).toEqual(alerts);
});

it('names controls that the console has', async () => {
  const files = await readdir(CONSOLE, { recursive: true });
  const sources = files
    .filter((name) => name.endsWith('.tsx'))
    .map((name) => readFileSync(join(CONSOLE, name), 'utf8'));
  const text = sources.join('\n').replaceAll(/\s+/g, ' ');
  const bold = [...readFileSync(DOCUMENT, 'utf8').matchAll(/\*\*([^*]+)\*\*/g)].map(([, label = '']) =>
    label.replaceAll(/\s+/g, ' '),
  );
  // A number in a label is counted by the page.
  const missing = bold.filter((label) => !label.split(/\d{2,}/).every((part) => text.includes(part.trim())));
  expect(missing).toEqual([]);
});
