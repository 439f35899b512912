import { ActorCache, type FoundActor } from './actor-cache.js';
import { hashOfToken } from './random-token.js';

const FOUND: FoundActor = { actor: { kind: 'api_key', name: 'ci', role: 'viewer' }, expiresAt: null };
const HASH = hashOfToken('token');

describe('ActorCache', () => {
  let cache: ActorCache;
  let lookups: number;
  const lookUp = async (): Promise<FoundActor | undefined> => {
    lookups++;
    return FOUND;
  };
  beforeEach(() => {
    cache = new ActorCache();
    lookups = 0;
  });

  it('looks somebody up once in 5 s', async () => {
    expect(await cache.find(HASH, lookUp, 0)).toBe(FOUND.actor);
    expect(await cache.find(HASH, lookUp, 4_999)).toBe(FOUND.actor);
    expect(lookups).toBe(1);
    expect(await cache.find(HASH, lookUp, 5_000)).toBe(FOUND.actor);
    expect(lookups).toBe(2);
  });

  it('shares a lookup among those who ask meanwhile', async () => {
    await Promise.all([cache.find(HASH, lookUp), cache.find(HASH, lookUp), cache.find(HASH, lookUp)]);
    expect(lookups).toBe(1);
  });

  it('does not remember who is unknown', async () => {
    expect(await cache.find(HASH, async () => undefined)).toBeUndefined();
    expect(await cache.find(HASH, lookUp)).toBe(FOUND.actor);
  });

  it('looks up again after a failure', async () => {
    const failure = new Error('the database is away');
    await expect(cache.find(HASH, () => Promise.reject(failure))).rejects.toBe(failure);
    expect(await cache.find(HASH, lookUp)).toBe(FOUND.actor);
  });

  it('remembers nobody for longer than the key is valid', async () => {
    const expiresAt = new Date(Date.now() + 1_000);
    await cache.find(HASH, async () => ({ ...FOUND, expiresAt }), 0);
    expect(await cache.find(HASH, async () => undefined, 1_001)).toBeUndefined();
  });

  it('forgets everybody when cleared, also who is being looked up', async () => {
    let answer = (_: FoundActor): void => undefined;
    const slow = cache.find(HASH, () => new Promise((resolve) => (answer = resolve)));
    cache.clear();
    expect(await cache.find(HASH, async () => undefined)).toBeUndefined();
    answer(FOUND);
    expect(await slow).toBe(FOUND.actor);
    expect(await cache.find(HASH, async () => undefined)).toBeUndefined();
  });

  it('reports that it was cleared', () => {
    let cleared = 0;
    cache.cleared$.subscribe(() => cleared++);
    cache.clear();
    expect(cleared).toBe(1);
  });

  it('refuses the 101st lookup with 503, until one has ended', async () => {
    const answers: ((found: undefined) => void)[] = [];
    const slow = Array.from({ length: 100 }, (_, index) =>
      cache.find(hashOfToken(`${index}`), () => new Promise((resolve) => answers.push(resolve))),
    );
    await expect(cache.find(HASH, lookUp)).rejects.toThrow('Too busy');
    answers[0]!(undefined);
    await slow[0];
    expect(await cache.find(HASH, lookUp)).toBe(FOUND.actor);
    for (const answer of answers) answer(undefined);
    await Promise.all(slow);
  });

  it('forgets the oldest of more than 10,000', async () => {
    for (let index = 0; index <= 10_000; index++) await cache.find(hashOfToken(`${index}`), lookUp, 0);
    lookups = 0;
    await cache.find(hashOfToken('1'), lookUp, 0);
    expect(lookups).toBe(0);
    await cache.find(hashOfToken('0'), lookUp, 0);
    expect(lookups).toBe(1);
  });
});
