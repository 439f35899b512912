/** How the console's files come to a browser. */
import { request } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { builtConsole } from './support/built-console.js';
import { API_KEY, CloudApi } from './support/cloud-api.js';

/** What the first page may take, in bytes. */
const LIMIT_BYTES = 250_000;

let cloud: CloudApi;
beforeAll(async () => {
  cloud = await CloudApi.start({ consoleDirectory: await builtConsole() });
});
afterAll(() => cloud.close());

interface Answer {
  readonly encoding: string | undefined;
  readonly cacheControl: string | undefined;
  readonly body: Buffer;
}

/** Not `fetch`, which decodes what is compressed. */
async function get(path: string): Promise<Answer> {
  const headers = { 'accept-encoding': 'gzip', 'x-api-key': API_KEY };
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port: cloud.port, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({
          encoding: response.headers['content-encoding'],
          cacheControl: response.headers['cache-control'],
          body: Buffer.concat(chunks),
        }),
      );
    });
    asked.on('error', reject).end();
  });
}

it('compresses the assets of the console, which browsers keep, and nothing of the API', async () => {
  const page = await get('/');
  expect(page.cacheControl).toBe('no-cache');
  const assets = page.body.toString().match(/\/assets\/[\w.-]+/g)!;
  expect(assets.length).toBeGreaterThanOrEqual(2);
  let bytes = page.body.length;
  for (const asset of assets) {
    const { encoding, cacheControl, body } = await get(asset);
    expect(encoding).toBe('gzip');
    expect(cacheControl).toContain('immutable');
    expect(gunzipSync(body).length).toBeGreaterThan(2 * body.length);
    bytes += body.length;
  }
  expect(bytes).toBeLessThan(LIMIT_BYTES);
  const { encoding, body } = await get('/api/v1/openapi.json');
  expect(encoding).toBeUndefined();
  expect(body.length).toBeGreaterThan(10_000);
});
