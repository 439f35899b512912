/** What one node revokes, at another one with the same database. */
import { ActorCache } from '../src/access/actor-cache.js';
import { API_KEY, CloudApi } from './support/cloud-api.js';
import { TestDatabase } from './support/test-database.js';
import { Visitor } from './support/visitor.js';

const OPERATOR = { name: 'ada', password: 'correct horse battery' };
const CACHED_MS = 5_000;

/** Makes a cache believe that what it remembers is so much older. */
function age(cache: ActorCache, ms: number): void {
  const find = cache.find.bind(cache);
  cache.find = (hash, lookUp) => find(hash, lookUp, performance.now() + ms);
}

it('refuses sessions and keys that another node has ended when it has forgotten them, and closes their live streams', async () => {
  // An embedded database has one process.
  const place = await TestDatabase.create({ kind: 'postgres' });
  const here = await CloudApi.start({ database: place.config });
  const there = await CloudApi.start({ database: place.config, liveRecheckMs: 20 });
  try {
    const admin = new Visitor(here, API_KEY);
    await admin.send('POST', '/api/v1/operators', { ...OPERATOR, role: 'viewer' });
    const { body } = await admin.send('POST', '/api/v1/api-keys', { name: 'ci', role: 'viewer' });
    const ada = await new Visitor(here).logIn(OPERATOR.name, OPERATOR.password);
    const keyThere = new Visitor(there, (body as { key: string }).key);
    const adaThere = new Visitor(there);
    adaThere.cookie = ada.cookie;
    const visitors = [keyThere, adaThere];
    for (const visitor of visitors) expect(await visitor.status('GET', '/api/v1/me')).toBe(200);
    const origin = `http://127.0.0.1:${there.port}`;
    const streams = [
      there.watch({ 'x-api-key': (body as { key: string }).key }),
      there.watch({ cookie: ada.cookie!, origin }),
    ];
    for (const { shown } of streams) expect(await shown.next()).toMatchObject({ event: 'devices' });

    expect(await admin.status('DELETE', '/api/v1/api-keys/ci')).toBe(204);
    expect(await ada.status('POST', '/api/v1/logout')).toBe(204);
    age(there.get(ActorCache), CACHED_MS);
    for (const { closed } of streams) expect(await closed.next()).toMatchObject({ code: 1008 });
    for (const visitor of visitors) expect(await visitor.status('GET', '/api/v1/me')).toBe(401);
  } finally {
    await there.close();
    await here.close();
    await place.close();
  }
}, 60_000);
