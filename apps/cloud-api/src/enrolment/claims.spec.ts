import { type Database } from '../database/database.js';
import { openDatabase } from '../database/open-database.js';
import { TestDatabase } from '../../test/support/test-database.js';
import { hashOfClaimCode } from './claim-code.js';
import { Claims, type ClaimOrder, type NewClaim } from './claims.js';

const MINUTE_MS = 60_000;

describe.each(['postgres', 'pglite'] as const)('Claims in %s', (kind) => {
  let test: TestDatabase;
  let database: Database;
  let claims: Claims;

  beforeAll(async () => {
    test = await TestDatabase.create({ kind });
    database = openDatabase(test.config);
    claims = new Claims(database);
  });
  afterAll(async () => {
    await database.destroy();
    await test.close();
  });
  beforeEach(async () => {
    await database.deleteFrom('claims').execute();
    await database.deleteFrom('devices').execute();
  });

  async function create(order: Partial<ClaimOrder> = {}): Promise<NewClaim> {
    const [claim] = await claims.create({
      deviceIds: [null],
      tags: [],
      expiresInMs: MINUTE_MS,
      createdBy: 'ann',
      ...order,
    });
    return claim!;
  }

  const use = (claim: NewClaim, deviceId: string): Promise<boolean> =>
    claims.use(hashOfClaimCode(claim.code)!, deviceId);

  async function setTime(column: 'used_at' | 'expires_at', agoMs: number): Promise<void> {
    await database
      .updateTable('claims')
      .set({ [column]: new Date(Date.now() - agoMs) })
      .execute();
  }

  async function devices(): Promise<object[]> {
    return database.selectFrom('devices').select(['id', 'tags', 'first_seen_at']).orderBy('id').execute();
  }

  it('keeps no code', async () => {
    const { code } = await create();
    const rows = await database.selectFrom('claims').selectAll().execute();
    expect(rows).toHaveLength(1);
    const text = JSON.stringify(rows);
    expect(text).not.toContain(code);
    expect(text).not.toContain(code.replaceAll('-', ''));
    expect(Buffer.from(rows[0]!.code_hash)).toEqual(hashOfClaimCode(code));
  });

  it('lets one of 20 devices win that use a claim at once', async () => {
    const claim = await create();
    const ids = Array.from({ length: 20 }, (_, index) => `device-${index}`);
    const results = await Promise.all(ids.map((id) => use(claim, id)));
    const winners = ids.filter((_, index) => results[index]);
    expect(winners).toHaveLength(1);
    expect(await devices()).toMatchObject([{ id: winners[0] }]);
    expect(await claims.list('used', 10)).toMatchObject([{ usedBy: winners[0], state: 'used' }]);
  });

  it('lets one of 20 claims win that are used for one device at once', async () => {
    const made = await claims.create({
      deviceIds: Array<null>(20).fill(null),
      tags: [],
      expiresInMs: MINUTE_MS,
      createdBy: 'ann',
    });
    const results = await Promise.all(made.map((claim) => use(claim, 'a')));
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await claims.list('open', 100)).toHaveLength(19);
  });

  it('adds the devices of its claims, and gives their tags to them, beside those they have', async () => {
    await database
      .insertInto('devices')
      .values({ id: 'b', tags: ['old', 'north'] })
      .execute();
    await claims.create({
      deviceIds: ['b', 'a'],
      tags: ['north', 'new'],
      expiresInMs: MINUTE_MS,
      createdBy: 'ann',
    });
    expect(await devices()).toEqual([
      { id: 'a', tags: ['north', 'new'], first_seen_at: null },
      { id: 'b', tags: ['new', 'north', 'old'], first_seen_at: null },
    ]);
  });

  it('adds a device by a claim for any when it is used, with its tags', async () => {
    const claim = await create({ tags: ['north'] });
    expect(await devices()).toEqual([]);
    expect(await use(claim, 'a')).toBe(true);
    expect(await devices()).toEqual([{ id: 'a', tags: ['north'], first_seen_at: null }]);
  });

  it('refuses another device than that of the claim', async () => {
    const claim = await create({ deviceIds: ['a'] });
    expect(await use(claim, 'b')).toBe(false);
    expect(await use(claim, 'a')).toBe(true);
  });

  it('refuses a claim that has expired, was deleted, or was never made', async () => {
    const [claim, other] = [await create(), await create()];
    await setTime('expires_at', 1);
    expect(await use(claim, 'a')).toBe(false);
    expect(await claims.remove(other.id)).toBe(true);
    expect(await claims.remove(other.id)).toBe(false);
    expect(await use(other, 'a')).toBe(false);
    expect(await claims.use(hashOfClaimCode('0000-0000-0000-0000')!, 'a')).toBe(false);
    expect(await devices()).toEqual([]);
  });

  it.each<[string, (id: string) => Promise<unknown>]>([
    ['was here', (id) => database.insertInto('devices').values({ id, first_seen_at: new Date() }).execute()],
    ['has a password', (id) => database.insertInto('devices').values({ id, password_hash: 'x' }).execute()],
    ['has a claim of its own', (id) => create({ deviceIds: [id] })],
    ['has used another claim', async (id) => use(await create(), id)],
    [
      'has used another claim, and was deleted',
      async (id) => {
        await use(await create(), id);
        await database.deleteFrom('devices').where('id', '=', id).execute();
      },
    ],
  ])('refuses a claim for any to a device that %s, and keeps the claim open', async (_what, prepare) => {
    await prepare('a');
    const before = await devices();
    const claim = await create({ tags: ['stranger'] });
    expect(await use(claim, 'a')).toBe(false);
    expect(await devices()).toEqual(before);
    expect(await use(claim, 'b')).toBe(true);
  });

  it('lets a claim for any be used by a device that an operator has added', async () => {
    await database.insertInto('devices').values({ id: 'a' }).execute();
    expect(await use(await create(), 'a')).toBe(true);
  });

  it('lets a known device use a claim of its own', async () => {
    await database.insertInto('devices').values({ id: 'a', first_seen_at: new Date() }).execute();
    expect(await use(await create({ deviceIds: ['a'] }), 'a')).toBe(true);
  });

  describe('used once', () => {
    let claim: NewClaim;
    beforeEach(async () => {
      claim = await create();
      expect(await use(claim, 'a')).toBe(true);
      // As the connection that it got has written.
      await database.updateTable('devices').set({ first_seen_at: new Date() }).execute();
    });

    it('lets the same device use it again for 10 minutes, even if it expires meanwhile, and no other', async () => {
      await setTime('expires_at', 1);
      await setTime('used_at', 9.9 * MINUTE_MS);
      expect(await use(claim, 'b')).toBe(false);
      expect(await use(claim, 'a')).toBe(true);
      await setTime('used_at', 10.1 * MINUTE_MS);
      expect(await use(claim, 'a')).toBe(false);
    });

    it('counts the 10 minutes from the first use', async () => {
      await setTime('used_at', 9 * MINUTE_MS);
      const usedAt = (await claims.list('used', 1))[0]?.usedAt;
      expect(await use(claim, 'a')).toBe(true);
      expect((await claims.list('used', 1))[0]?.usedAt).toEqual(usedAt);
    });

    it('refuses the same device when it has its token', async () => {
      await claims.confirm('b');
      expect(await use(claim, 'a')).toBe(true);
      await claims.confirm('a');
      expect(await use(claim, 'a')).toBe(false);
    });
  });
});
