import { rmSync } from 'node:fs';
import pg from 'pg';

/** The end of a run of Jest: ends the server that the set-up has started, or drops what the tests have left on another. */
export default async function tearDown(): Promise<void> {
  const { cloudApiTestServer: own } = globalThis as { cloudApiTestServer?: { close(): Promise<void> } };
  const {
    CLOUD_API_TEST_POSTGRES: url,
    CLOUD_API_TEST_PREFIX: prefix,
    CLOUD_API_TEST_FILES: files,
  } = process.env;
  if (own) await own.close();
  else if (url !== undefined && prefix !== undefined) await drop(url, prefix);
  if (files !== undefined) rmSync(files, { recursive: true, force: true });
}

async function drop(url: string, prefix: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ datname: string }>(
    'SELECT datname FROM pg_database WHERE starts_with(datname, $1)',
    [`${prefix}_`],
  );
  for (const { datname } of rows) await client.query(`DROP DATABASE ${datname} WITH (FORCE)`);
  await client.end();
}
