/** The embedded database belongs to one process, and survives its crash. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { tuple } from '@fedecks/nest/wire';
import { type ChildApp, Program } from '../../../libs/fedecks/test/support/child-app.js';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { hashPassword } from '../src/devices/password.js';
import { openDatabase } from '../src/database/open-database.js';

/** Each sends 200 messages in a second, well below the 1,000 that the cloud allows. */
const IDS = Array.from({ length: 10 }, (_, index) => `greenhouse-${index}`);
const CREDENTIALS = { username: 'gardener', password: 'open sesame' };

describe('cloud-api with an embedded database', () => {
  let program: Program;
  let directory: string;
  const apps: ChildApp[] = [];
  beforeAll(async () => {
    program = await Program.compile('../../../../apps/cloud-api/src/main.ts');
    directory = await mkdtemp(join(tmpdir(), 'cloud-api-embedded-'));
    const { username, password } = CREDENTIALS;
    const logins = { [username]: { password: await hashPassword(password), devices: ['*'] } };
    await writeFile(join(directory, 'logins.json'), JSON.stringify(logins));
  }, 60_000);
  afterAll(async () => {
    for (const app of apps) app.dispose();
    await rm(directory, { recursive: true });
  });

  function start(): ChildApp {
    const env = {
      HOST: '127.0.0.1',
      // Free ones: the log says which.
      PORT: '0',
      METRICS_PORT: '0',
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

  /** Its ports, when it is up. Making the tables blocks the process for seconds, and may end after it listens. */
  async function portsOf(app: ChildApp): Promise<{ app: number; metrics: number }> {
    const texts = [/Listening on http:[^"]*:(\d+)/, /Metrics at port (\d+)/, /The database is embedded/];
    const found = new Map<RegExp, number>();
    while (found.size < texts.length) {
      const line = await app.line(60_000);
      for (const text of texts) {
        const match = text.exec(line);
        if (match) found.set(text, Number(match[1]));
      }
    }
    const [port, metrics] = texts.map((text) => found.get(text)!);
    return { app: port!, metrics: metrics! };
  }

  /** The messages that are in the database. */
  async function writtenBy(metricsPort: number): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    return Number(/^cloud_database_rows_total\{table="messages"\} (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  it('keeps all that was written when it is killed while it writes, and shares it with no other process', async () => {
    const app = start();
    const ports = await portsOf(app);
    const written = (): Promise<number> => writtenBy(ports.metrics);
    const url = `ws://127.0.0.1:${ports.app}/fedecks/websocket`;
    const devices = IDS.map((deviceId) => {
      return new FedecksClient({ url, deviceId, tokenStore: new MemoryTokenStore() });
    });
    for (const device of devices) await device.login(CREDENTIALS);
    let sent = 0;
    const sending = setInterval(() => {
      for (let each = 0; each < 2; each++) {
        sent++;
        for (const device of devices) void device.send(tuple('count', sent)).catch(() => undefined);
      }
    }, 10);
    try {
      await eventually(written, (count) => count > 100, 60_000);

      const second = start();
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
        const rows = await database
          .selectFrom('messages')
          .select(['device_id', 'body'])
          .orderBy('id')
          .execute();
        expect(rows.length).toBeGreaterThanOrEqual(known);
        for (const id of IDS) {
          const counts = rows.filter(({ device_id }) => device_id === id).map(({ body }) => body);
          expect([id, counts]).toEqual([id, Array.from(counts, (_, index) => index + 1)]);
        }
      } finally {
        await database.destroy();
      }

      const next = start();
      const { app: port } = await portsOf(next);
      const ready = await fetch(`http://127.0.0.1:${port}/health/ready`);
      expect(ready.status).toBe(200);
      next.kill('SIGTERM');
      expect(await next.exited(20_000)).toMatchObject({ code: 0 });
    } finally {
      clearInterval(sending);
      for (const device of devices) await device.stop();
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
