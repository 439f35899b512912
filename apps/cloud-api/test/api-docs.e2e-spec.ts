/** The commands of docs/api.md answer the questions of an operator. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { tuple } from '@fedecks/nest/wire';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { Database } from '../src/database/database.js';
import { API_KEY, CloudApi } from './support/cloud-api.js';

const PAGE = fileURLToPath(new URL('../docs/api.md', import.meta.url));
const ID = 'greenhouse-1';
/** For each block: a word of the question before it, and what each of its commands prints. */
const ANSWERS: readonly (readonly [question: string, ...answers: RegExp[]])[] = [
  ['OpenAPI viewer', /^$/],
  ['offline, since when and why', /"id":"greenhouse-2".*"stateSince":".*"offlineCause":"connection_lost"/],
  ['flapping', /"items":\[\]/, /"online":1,"offline":1/, /"cameAt"/],
  ['temperature', /temperatureCelsius/, /"avg":21/, /"points":\[\]/],
  [
    'offline, and see it done',
    /^HTTP\/1.1 202 .*\nlocation: \/api\/v1\/deliveries\//is,
    /"event":"identify"/,
  ],
  ['get its result', /"answer":\["pong",1\]/],
  ['setting of one device, or of 500', /"event":"settings"/, /"selected":1,"dryRun":true/],
  ['Show the log', /"lines":\["started"\]/, /^$/],
  ['Revoke a stolen one', /"revoked"/, /"blocked":true/, /"blocked":2/],
  ['Enrol 50', /(\{"id":[^}]*"code":[^}]*\},?){50}/, /"state":"open"/],
  ['Who did what', /"action":"device.block"/, /"target":"greenhouse-1"/, /"items":\[\]/],
  ['Prometheus', /^cloud_devices_connected 0$/m],
  ['say to each other', /"event":"telemetry"/],
  ['Tell all devices', /"sent":0,"offline":1,"failed":0/],
  ['Find, name and tag', /"items":\[\]/, /"name":"By the gate"/, /^$/],
  ['Take the data', /^$/, /^$/],
];

let cloud: CloudApi;
let directory: string;
/** Each block with the text before it, up to the block before. */
let blocks: readonly (readonly [text: string, script: string])[];
beforeAll(async () => {
  cloud = await CloudApi.start();
  directory = await mkdtemp(join(tmpdir(), 'cloud-api-docs-'));
  const page = await readFile(PAGE, 'utf8');
  blocks = [...page.matchAll(/([^]*?)^```sh\n([^]*?)^```$/gm)].map(([, text = '', script = '']) => [
    text,
    script,
  ]);
  const away = { first_seen_at: new Date(0), state_since: new Date(0), offline_cause: 'connection_lost' };
  const database = cloud.get(Database);
  await database
    .insertInto('devices')
    .values({ id: 'greenhouse-2', tags: ['north'], ...away })
    .execute();
  const summary = { min: 20, max: 22, sum: 42, count: 2 };
  await database
    .insertInto('readings_by_minute')
    .values({ device_id: ID, metric: 'temperatureCelsius', at: new Date(Date.now() - 600_000), ...summary })
    .execute();
  const { device } = await cloud.connect(ID);
  device.onRequest('ping', (payload) => tuple('pong', payload));
  device.onRequest('restart', () => undefined);
  device.onRequest('logs', async function* () {
    yield 'started';
  });
  await device.send(tuple('telemetry', { temperatureCelsius: 21 }));
  await eventually(
    async () => (await cloud.http('GET', `/api/v1/devices/${ID}/metrics`)).body,
    (body) => JSON.stringify(body).includes('Celsius'),
  );
});
afterAll(async () => {
  await cloud.close();
  await rm(directory, { recursive: true });
});

it('runs each of them', async () => {
  const [[, definitions] = ['', ''], ...examples] = blocks;
  const setUp = definitions
    .replace(/^API=.*/m, `API=http://127.0.0.1:${cloud.port}/api/v1`)
    .replace(/^KEY=.*/m, `KEY=${API_KEY}`);
  expect(examples).toHaveLength(ANSWERS.length);
  for (const [index, [text, script]] of examples.entries()) {
    const [question, ...answers] = ANSWERS[index]!;
    expect(text).toContain(question);
    // A command may go over several lines.
    const commands = script.split(/^(?=fleet )/m);
    expect([question, commands.length]).toEqual([question, answers.length]);
    for (const [number, command] of commands.entries()) {
      const run = promisify(execFile)('sh', ['-ec', `${setUp}\n${command}`], { cwd: directory });
      const { stdout } = await run.catch((error: unknown) => error as { stdout: string });
      expect([command, stdout.trim()]).toEqual([command, expect.stringMatching(answers[number]!)]);
    }
  }
  expect(await readFile(join(directory, 'devices.csv'), 'utf8')).toContain('greenhouse-2');
  expect(JSON.parse(await readFile(join(directory, 'openapi.json'), 'utf8'))).toHaveProperty('openapi');
}, 60_000);
