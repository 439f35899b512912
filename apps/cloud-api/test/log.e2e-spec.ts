import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { tuple } from '@fedecks/nest/wire';
import { type ChildApp, Program } from '../../../libs/fedecks/test/support/child-app.js';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { hashPassword } from '../src/devices/password.js';
import { API_KEY, CloudApi, CREDENTIALS } from './support/cloud-api.js';
import { TestDatabase } from './support/test-database.js';

describe('the log of cloud-api', () => {
  let cloud: CloudApi;
  let lines: readonly string[];
  beforeEach(async () => {
    cloud = await CloudApi.start();
    await cloud.writeLogins({ devices: ['*'] });
    lines = cloud.recordLog();
  });
  afterEach(() => cloud.close());

  it('writes 10 messages of one device per 10 s, without affecting other devices', async () => {
    const first = await cloud.connect('greenhouse-1');
    const second = await cloud.connect('greenhouse-2');
    for (let sent = 0; sent < 50; sent++) await first.device.send(sent);
    await first.device.send(tuple('hello', null));
    await first.received.next();
    await second.device.send(tuple('hello', null));
    await second.received.next();
    expect(lines.filter((line) => line.startsWith('"greenhouse-1" sent'))).toHaveLength(10);
    expect(lines.filter((line) => line.startsWith('"greenhouse-2" says hello'))).toHaveLength(1);
  });

  it('contains the first 160 characters of a message', async () => {
    const { device, received } = await cloud.connect('greenhouse-1');
    await device.send(tuple('hello', 'x'.repeat(100_000)));
    await received.next();
    await device.send(tuple('hello', 1n << 2_000_000n));
    await received.next();
    const [text, integer] = lines
      .filter((line) => line.includes('says hello'))
      .map((line) => line.split(': ')[1]!);
    expect(text).toMatch(/^"x{159}\.\.\.$/);
    expect(integer).toMatch(/^"0x10{150,}\.\.\.$/);
  });

  it('escapes control characters of a device id and a message', async () => {
    const id = 'a\nb\u009b\u202e\u2028c';
    const { device, received } = await cloud.connect(id);
    await device.send(tuple('hello', id));
    await received.next();
    const shown = String.raw`"a\nb\u{9b}\u{202e}\u{2028}c"`;
    expect(lines).toContain(`${shown} connected from 127.0.0.1`);
    expect(lines).toContain(`${shown} says hello: ${shown}`);
  });
});

/** How long, in milliseconds, a start may block the process: that of an embedded database takes many seconds on a busy machine. */
const START_MS = 60_000;

function portIn(line: string): number {
  return Number(/Listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1]);
}

async function portOf(app: ChildApp): Promise<number> {
  for (;;) {
    const port = portIn(await app.line(START_MS));
    if (!Number.isNaN(port)) return port;
  }
}

describe('cloud-api as a process', () => {
  const main = '../../../../apps/cloud-api/src/main.ts';
  let program: Program;
  let directory: string;
  let database: TestDatabase;
  beforeAll(async () => {
    program = await Program.compile(main);
    database = await TestDatabase.create();
    directory = await mkdtemp(join(tmpdir(), 'cloud-api-log-'));
    await writeFile(join(directory, 'logins.json'), '{}');
  }, 60_000);
  afterAll(async () => {
    await database.close();
    await rm(directory, { recursive: true });
  });

  function environment(): NodeJS.ProcessEnv {
    return {
      HOST: '127.0.0.1',
      // A free one: the log says which.
      PORT: '0',
      FEDECKS_SECRET: 'secret-0123456789'.repeat(2),
      API_KEY,
      DEVICE_LOGINS_FILE: join(directory, 'logins.json'),
      DATA_DIR: database.config.directory,
      ...(database.config.url !== undefined && { DATABASE_URL: database.config.url }),
    };
  }

  it('writes lines of JSON where there is no terminal, with the device and its connection', async () => {
    const { username, password } = CREDENTIALS;
    const logins = { [username]: { password: await hashPassword(password), devices: ['*'] } };
    await writeFile(join(directory, 'logins.json'), JSON.stringify(logins));
    const app = program.start([], { env: environment() });
    let device: FedecksClient | undefined;
    const lines: Record<string, unknown>[] = [];
    const until = async (text: string): Promise<Record<string, unknown>> => {
      for (;;) {
        const line = JSON.parse(await app.line(START_MS)) as Record<string, unknown>;
        lines.push(line);
        if (String(line['msg']).includes(text)) return line;
      }
    };
    try {
      const listening = await until('Listening on');
      expect(listening).toMatchObject({ level: 'info', context: 'CloudApi' });
      const url = `ws://127.0.0.1:${portIn(String(listening['msg']))}/fedecks/websocket`;
      device = new FedecksClient({ url, deviceId: 'greenhouse-1', tokenStore: new MemoryTokenStore() });
      await device.login(CREDENTIALS);
      const line = await until('connected from');
      expect(line).toMatchObject({
        level: 'info',
        context: 'Devices',
        deviceId: 'greenhouse-1',
        connection: 1,
      });
      await device.send(tuple('hello', null));
      expect(await until('says hello')).toMatchObject({ deviceId: 'greenhouse-1', connection: 1 });
      expect(JSON.stringify(lines)).not.toContain(password);
    } finally {
      await device?.stop();
      app.dispose();
      // The next test starts another one, and an embedded database has one process.
      await app.exited(10_000);
    }
  });

  it('keeps running when the reader of its log exits', async () => {
    const env = environment();
    // Both outputs go to a reader that exits after the line with the port.
    const by = ['bash', '-c', `exec "$0" "$@" > >(exec sed -u '/Listening on/q') 2>&1`];
    const app = program.start([], { by, env });
    try {
      const port = await portOf(app);
      const devices = async (): Promise<number> =>
        (await fetch(`http://127.0.0.1:${port}/api/v1/devices`, { headers: { 'x-api-key': API_KEY } }))
          .status;
      await eventually(devices, (status) => status === 200, START_MS);
      // Each one is logged.
      for (let sent = 0; sent < 3; sent++) {
        expect((await fetch(`http://127.0.0.1:${port}/fedecks/websocket`)).status).toBe(403);
      }
      expect(await devices()).toBe(200);
      app.kill('SIGTERM');
      expect(await app.exited(10_000)).toMatchObject({ code: 0 });
    } finally {
      app.dispose();
    }
  });
});
