import { readFileSync } from 'node:fs';
import { type OpenAPIObject } from '@nestjs/swagger';
import { API_KEY, CloudApi } from './support/cloud-api.js';
import { Visitor } from './support/visitor.js';

const COMMITTED = new URL('../openapi.json', import.meta.url);

let cloud: CloudApi;
beforeAll(async () => (cloud = await CloudApi.start({ trustedProxies: ['loopback'] })), 60_000);
afterAll(() => cloud.close());

it('is served, and the committed document is the same (otherwise: npm run openapi)', async () => {
  const { status, body } = await cloud.http('GET', '/api/v1/openapi.json');
  expect(status).toBe(200);
  expect(body).toEqual(JSON.parse(readFileSync(COMMITTED, 'utf8')));
});

it('is not for strangers', async () => {
  expect(await cloud.http('GET', '/api/v1/openapi.json', { headers: {} })).toMatchObject({ status: 401 });
});

it('gives each operation an id of its own, a summary and a way to authenticate', async () => {
  const { body } = await cloud.http('GET', '/api/v1/openapi.json');
  const { paths, components } = body as OpenAPIObject;
  const operations = Object.values(paths).flatMap((path) =>
    [path.get, path.post, path.put, path.patch, path.delete].filter((operation) => operation !== undefined),
  );
  expect(operations.length).toBeGreaterThan(20);
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(operations.filter(({ summary = '' }) => summary === '')).toEqual([]);
  expect(Object.keys(components?.securitySchemes ?? {}).sort()).toEqual(['bearer', 'cookie']);
  expect(operations.filter(({ security = [] }) => security.length !== 2)).toEqual([]);
});

it('names the cookies that a login sets', async () => {
  const operator = { name: 'ada', password: 'correct horse battery' };
  await new Visitor(cloud, API_KEY).send('POST', '/api/v1/operators', { ...operator, role: 'viewer' });
  const { body } = await cloud.http('GET', '/api/v1/openapi.json');
  const { cookie } = (body as OpenAPIObject).components?.securitySchemes as Record<
    string,
    { name: string; description: string }
  >;
  for (const protocol of ['http', 'https']) {
    const headers = { 'x-forwarded-proto': protocol };
    const login = await new Visitor(cloud).send('POST', '/api/v1/login', operator, headers);
    const [name] = login.headers.getSetCookie()[0]!.split('=');
    if (protocol === 'http') expect(name).toBe(cookie!.name);
    else expect(cookie!.description).toContain(name);
  }
});
