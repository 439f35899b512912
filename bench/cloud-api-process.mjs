// The built apps/cloud-api as a process, with its files in a temporary directory.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

export const API_KEY = randomBytes(24).toString('base64url');

/** An empty database on a Postgres server, from the environment. Ends the process if none is named. */
export function databaseUrl() {
  const { DATABASE_URL } = process.env;
  if (DATABASE_URL) return DATABASE_URL;
  console.error('Set DATABASE_URL to an empty database: see the top of the script.');
  process.exit(1);
}

/** Ends with this process. @returns its process id and its origin, as http://127.0.0.1:1234. */
export async function startCloudApi() {
  const main = fileURLToPath(new URL('../dist/cloud-api/apps/cloud-api/src/main.js', import.meta.url));
  const directory = mkdtempSync(join(tmpdir(), 'fedecks-bench-'));
  const app = spawn(process.execPath, [main], {
    env: {
      PATH: process.env.PATH,
      HOST: '127.0.0.1',
      PORT: '0',
      FEDECKS_SECRET: randomBytes(48).toString('base64url'),
      API_KEY,
      DATABASE_URL: databaseUrl(),
      DATA_DIR: directory,
      LOG_FORMAT: 'text',
      HTTP_REQUESTS_PER_MINUTE: '1000000',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  process.on('exit', () => {
    app.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  });
  const origin = await new Promise((resolve) => {
    createInterface({ input: app.stdout }).on('line', (line) => {
      const [, url] = /Listening on (http:\S+)/.exec(line) ?? [];
      if (url) resolve(url);
    });
  });
  return { pid: app.pid, origin };
}

/** 10,000 devices, as statements for {@link fill}. */
export const DEVICES = `
  INSERT INTO devices (id, name, tags, first_seen_at, last_seen_at, state_since, agent_version, offline_cause)
  SELECT 'device-' || n, 'Greenhouse ' || n, ARRAY['site-' || n % 100, CASE WHEN n % 2 = 0 THEN 'north' ELSE 'south' END],
    now() - interval '30 days', now() - n * interval '1 second', now() - n * interval '1 second', '1.' || n % 7, 'connection_lost'
  FROM generate_series(1, 10000) AS n;`;

/** Runs statements in the database of the app. */
export async function fill(statements) {
  const client = new pg.Client({ connectionString: databaseUrl() });
  await client.connect();
  await client.query(statements);
  await client.query('ANALYZE');
  await client.end();
}
