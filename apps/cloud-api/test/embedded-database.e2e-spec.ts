/** The embedded database belongs to one process, and survives its crash. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { tuple } from '@fedecks/nest/wire';
import { type ChildApp, Program } from '../../../libs/fedecks/test/support/child-app.js';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { hashPassword } from '../src/devices/password.js';
import { openDatabase } from '../src/database/open-database.js';

const CREDENTIALS = { username: 'gardener', password: 'open sesame' };

describe('cloud-api with an embedded database', () => {
  let program: Program;
  let directory: string;
  let ports: { app: number; metrics: number };
  const apps: ChildApp[] = [];
  beforeAll(async () => {
    program = await Program.compile('../../../../apps/cloud-api/src/main.ts');
    directory = await mkdtemp(join(tmpdir(), 'cloud-api-embedded-'));
    const { username, password } = CREDENTIALS;
    const logins = { [username]: { password: await hashPassword(password), devices: ['*'] } };
    await writeFile(join(directory, 'logins.json'), JSON.stringify(logins));
    ports = { app: await freePort(), metrics: await freePort() };
  }, 60_000);
  afterAll(async () => {
    for (const app of apps) app.dispose();
    await rm(directory, { recursive: true });
  });

  function start(port = ports.app, metricsPort = ports.metrics): ChildApp {
    const env = {
      HOST: '127.0.0.1',
      PORT: String(port),
      METRICS_PORT: String(metricsPort),
      FEDECKS_SECRET: 'secret-0123456789'.repeat(2),
      API_KEY: 'key-of-the-operators',
      DATA_DIR: directory,
      DEVICE_LOGINS_FILE: join(directory, 'logins.json'),
      DATABASE_URL: '',
      LOG_FORMAT: 'json',
    };
    const app = program.start([], { env });
    apps.push(app);
    return app;
  }

  /** Making the tables blocks the process for seconds, and may end after it listens. */
  async function isUp(app: ChildApp): Promise<void> {
    const texts = new Set(['Listening on', 'The database is embedded']);
    while (texts.size > 0) {
      const line = await app.line(60_000);
      for (const text of texts) if (line.includes(text)) texts.delete(text);
    }
  }

  async function written(): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text();
    return Number(/^cloud_database_rows_total\{table="messages"\} (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  it('keeps all that was written when it is killed while it writes, and shares it with no other process', async () => {
    const app = start();
    await isUp(app);
    const url = `ws://127.0.0.1:${ports.app}/fedecks/websocket`;
    const device = new FedecksClient({ url, deviceId: 'greenhouse-1', tokenStore: new MemoryTokenStore() });
    await device.login(CREDENTIALS);
    let sent = 0;
    const sending = setInterval(() => {
      for (let each = 0; each < 20; each++) void device.send(tuple('count', ++sent)).catch(() => undefined);
    }, 10);
    try {
      await eventually(written, (count) => count > 100, 60_000);

      const second = start(await freePort(), await freePort());
      expect(await second.exited(60_000)).not.toMatchObject({ code: 0 });
      expect(await allLines(second)).toContain('is used by another process');

      const before = await written();
      await eventually(written, (count) => count > before + 100, 60_000);
      const known = await written();
      app.kill('SIGKILL');
      await app.exited(10_000);
      clearInterval(sending);
      const database = openDatabase({ url: undefined, directory });
      try {
        const rows = await database.selectFrom('messages').select('body').orderBy('id').execute();
        const counts = rows.map(({ body }) => body).filter((body) => typeof body === 'number');
        expect(rows.length).toBeGreaterThanOrEqual(known);
        expect(counts).toEqual(Array.from(counts, (_, index) => index + 1));
      } finally {
        await database.destroy();
      }

      const next = start();
      await isUp(next);
      const ready = await fetch(`http://127.0.0.1:${ports.app}/health/ready`);
      expect(ready.status).toBe(200);
      next.kill('SIGTERM');
      expect(await next.exited(20_000)).toMatchObject({ code: 0 });
    } finally {
      clearInterval(sending);
      await device.stop();
    }
  }, 240_000);
});

/** What is left of its output. */
async function allLines(app: ChildApp): Promise<string> {
  let text = app.stderr;
  for (;;) {
    try {
      text += await app.line(200);
    } catch {
      return text;
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
