import { freePort } from '../../../../libs/fedecks/test/support/free-port.js';
import { describeDeliveryStore } from '../../../../libs/fedecks/test/support/delivery-store-contract.js';
import { deviceQueue, LATER } from '../../../../libs/fedecks/test/support/device-queue.js';
import { PostgresServer } from '../../test/support/postgres-server.js';
import { deleteRows, TestDatabase } from '../../test/support/test-database.js';
import { type Database } from '../database/database.js';
import { migrate } from '../database/migrate.js';
import { openDatabase } from '../database/open-database.js';
import { removals } from '../recording/removals.js';
import { Upkeep } from '../recording/upkeep.js';
import { DatabaseDeliveryStore } from './database-delivery-store.js';

const PATH = '/fedecks';
/** What Postgres cannot keep in a text, and what a query could misread. */
const HOSTILE = [
  "'; DROP TABLE delivery_claims; --",
  '"',
  '\\',
  'a\0b',
  '\0',
  '\ud800',
  '\udc00\ud800',
  '\ufffd',
  '\u001a0000',
  '\u001a',
];

interface Open {
  readonly store: DatabaseDeliveryStore;
  readonly database: Database;
}

/** Stores as several processes open them, each with connections of its own where the database allows it. */
class Processes {
  private readonly databases: Database[] = [];
  private constructor(
    private readonly place: TestDatabase,
    private readonly kind: 'pglite' | 'postgres',
  ) {}

  static async start(kind: 'pglite' | 'postgres'): Promise<Processes> {
    return new Processes(await TestDatabase.create({ kind }), kind);
  }

  open(): Open {
    const [first] = this.databases;
    const database = (this.kind === 'pglite' && first) || openDatabase(this.place.config);
    if (database !== first) this.databases.push(database);
    return { store: new DatabaseDeliveryStore(database), database };
  }

  async close(): Promise<void> {
    await Promise.all(this.databases.map((database) => database.destroy()));
    await this.place.close();
  }
}

/** One database of each kind for all tests, as an embedded one takes long to start. */
const shared = new Map<string, Promise<Processes>>();
function sharedProcesses(kind: 'pglite' | 'postgres'): Promise<Processes> {
  const processes = shared.get(kind) ?? Processes.start(kind);
  shared.set(kind, processes);
  return processes;
}
// Here, because those who share them wait for less time.
beforeAll(async () => {
  await sharedProcesses('pglite');
});
afterAll(async () => {
  for (const processes of shared.values()) await (await processes).close();
});

for (const kind of ['pglite', 'postgres'] as const) {
  describeDeliveryStore(`in the database, on ${kind}`, async () => {
    const processes = await sharedProcesses(kind);
    const stores = [processes.open().store, processes.open().store];
    let opened = 0;
    return { open: () => stores[++opened % 2]!, close: async () => undefined };
  });
}

describe.each(['pglite', 'postgres'] as const)('The store of deliveries on %s', (kind) => {
  let store: DatabaseDeliveryStore;
  let database: Database;
  beforeAll(async () => ({ store, database } = (await sharedProcesses(kind)).open()));
  beforeEach(() => deleteRows(database));

  it('keeps devices apart whose ids Postgres cannot keep as they are', async () => {
    for (const [index, id] of HOSTILE.entries()) {
      expect(await store.readQueue(PATH, id)).toBeUndefined();
      const queue = deviceQueue({ revision: index + 1, dueAt: 5 });
      expect(await store.writeQueue(PATH, id, queue, undefined)).toBe(true);
      await store.writeMessage(PATH, id, 'm', Uint8Array.of(index));
      const { generation } = await store.claim(PATH, id);
      expect(await store.setHandled(PATH, id, generation, { lane: 0, epoch: 'E', seq: index + 1 })).toBe(
        true,
      );
    }
    for (const [index, id] of HOSTILE.entries()) {
      expect((await store.readQueue(PATH, id))?.revision).toBe(index + 1);
      expect([...(await store.readMessage(PATH, id, 'm'))!]).toEqual([index]);
      expect((await store.claim(PATH, id)).handled).toEqual([{ lane: 0, epoch: 'E', seq: index + 1 }]);
    }
    expect([...(await store.dueQueues(PATH, 5, 100))].sort()).toEqual([...HOSTILE].sort());
  });

  it('keeps lanes, keys, codes and epochs with any text', async () => {
    for (const [index, text] of HOSTILE.entries()) {
      const plain = deviceQueue({ revision: 1, seqs: [1] });
      const queue = {
        ...plain,
        lanes: [{ ...plain.lanes[0]!, name: text }],
        waiting: [{ ...plain.waiting[0]!, key: text, event: text }],
        final: [{ ...plain.final[0]!, text, code: text }],
      };
      const id = `device ${index}`;
      expect(await store.writeQueue(PATH, id, queue, undefined)).toBe(true);
      expect(await store.readQueue(PATH, id)).toEqual(queue);
      const { generation } = await store.claim(PATH, id);
      const position = { lane: 7, epoch: text, seq: Number.MAX_SAFE_INTEGER };
      expect(await store.setHandled(PATH, id, generation, position)).toBe(true);
      expect((await store.claim(PATH, id)).handled).toEqual([position]);
    }
  });

  it('names a queue whose time has a fraction not before that', async () => {
    await store.writeQueue(PATH, 'a', deviceQueue({ revision: 1, dueAt: 1_000.5 }), undefined);
    expect(await store.dueQueues(PATH, 1_000, 1)).toEqual([]);
    expect(await store.dueQueues(PATH, 1_001, 1)).toEqual(['a']);
    expect((await store.readQueue(PATH, 'a'))?.dueAt).toBe(1_000.5);
  });

  it('refuses to remove without a revision what it keeps', async () => {
    expect(await store.writeQueue(PATH, 'a', undefined, undefined)).toBe(true);
    await store.writeQueue(PATH, 'a', deviceQueue({ revision: 1 }), undefined);
    expect(await store.writeQueue(PATH, 'a', undefined, undefined)).toBe(false);
    expect(await store.readQueue(PATH, 'a')).toBeDefined();
  });

  it('keeps what was handled together with the transaction, or not at all', async () => {
    const { generation } = await store.claim(PATH, 'a');
    const handle = (seq: number, fails: boolean): Promise<void> =>
      database.transaction().execute(async (tx) => {
        await tx
          .insertInto('devices')
          .values({ id: `device ${seq}` })
          .execute();
        expect(await store.setHandledIn(tx, PATH, 'a', generation, { lane: 1, epoch: 'E', seq })).toBe(true);
        if (fails) throw new Error('the handler has changed its mind');
      });
    await handle(1, false);
    await expect(handle(2, true)).rejects.toThrow('changed its mind');
    expect((await store.claim(PATH, 'a')).handled).toEqual([{ lane: 1, epoch: 'E', seq: 1 }]);
    expect(await database.selectFrom('devices').select('id').execute()).toEqual([{ id: 'device 1' }]);
  });

  it('refuses in a transaction what an older claim has handled', async () => {
    const { generation } = await store.claim(PATH, 'a');
    await store.claim(PATH, 'a');
    const isKept = await database
      .transaction()
      .execute((tx) => store.setHandledIn(tx, PATH, 'a', generation, { lane: 0, epoch: 'E', seq: 1 }));
    expect(isKept).toBe(false);
  });

  it('says what commit needs when it gets something else', async () => {
    for (const tx of [undefined, null, {}, database])
      await expect(store.setHandledIn(tx, PATH, 'a', 1, { lane: 0, epoch: 'E', seq: 1 })).rejects.toThrow(
        'tx must be the transaction',
      );
  });

  it('lets the upkeep remove messages after 31 days', async () => {
    const rows = Array.from({ length: 2_500 }, (_, index) => ({
      endpoint: PATH,
      device_id: 'a',
      name: `m${index}`,
      body: Uint8Array.of(1),
      written_at: new Date(Date.now() - 31 * 86_400_000 - 60_000),
    }));
    await database.insertInto('delivery_messages').values(rows).execute();
    await store.writeMessage(PATH, 'a', 'new', Uint8Array.of(2));
    await database
      .insertInto('delivery_messages')
      .values({ ...rows[0]!, name: 'waits', written_at: new Date(Date.now() - 30 * 86_400_000) })
      .execute();
    const upkeep = new Upkeep(database, { isReady: true }, removals());
    await upkeep.run();
    const left = await database.selectFrom('delivery_messages').select('name').orderBy('name').execute();
    expect(left).toEqual([{ name: 'new' }, { name: 'waits' }]);
  });
});

describe('Many processes that share a Postgres server', () => {
  const PROCESSES = 8;
  let server: PostgresServer;
  let databases: readonly Database[];
  let stores: readonly DatabaseDeliveryStore[];
  beforeAll(async () => {
    // They take 80 of the 100 connections that a server has: none is left to the other tests.
    server = await PostgresServer.start(await freePort());
    const config = { url: server.url, directory: '' };
    databases = Array.from({ length: PROCESSES }, () => openDatabase(config));
    await migrate(databases[0]!);
    stores = databases.map((database) => new DatabaseDeliveryStore(database));
  }, 60_000);
  beforeEach(() => deleteRows(databases[0]!));
  afterAll(async () => {
    await Promise.all(databases.map((database) => database.destroy()));
    await server.close();
  });

  it('give each claim of a device another generation', async () => {
    const claims = await Promise.all(
      stores.flatMap((store) => Array.from({ length: 25 }, () => store.claim(PATH, 'a'))),
    );
    expect(new Set(claims.map(({ generation }) => generation)).size).toBe(25 * PROCESSES);
  });

  it('lose no position of a lane, and keep the greatest', async () => {
    const { generation } = await stores[0]!.claim(PATH, 'a');
    const seqs = Array.from({ length: 20 }, (_, index) => index + 1);
    await Promise.all(
      stores.map(async (store, lane) => {
        const kept = seqs.map((seq) => store.setHandled(PATH, 'a', generation, { lane, epoch: 'E', seq }));
        expect(await Promise.all(kept)).toEqual(seqs.map(() => true));
      }),
    );
    const { handled } = await stores[0]!.claim(PATH, 'a');
    expect(handled).toHaveLength(PROCESSES);
    for (const { seq } of handled) expect(seq).toBe(20);
  });

  it('keep nothing of an older claim once a newer one has its answer', async () => {
    for (let round = 1; round <= 20; round++) {
      const id = `device ${round}`;
      const old = await stores[0]!.claim(PATH, id);
      const [newer, ...kept] = await Promise.all([
        stores[1]!.claim(PATH, id),
        ...stores.map(async (store, lane) => ({
          lane,
          isKept: await store.setHandled(PATH, id, old.generation, { lane, epoch: 'E', seq: 1 }),
        })),
      ]);
      // The newer claim knows all that was kept: nothing came after it.
      const lanes = kept.filter(({ isKept }) => isKept).map(({ lane }) => lane);
      expect(newer.handled.map(({ lane }) => lane).sort()).toEqual(lanes.sort());
    }
  });

  it('lose no change of a queue when each writes after what it has read', async () => {
    const CHANGES = 15;
    await stores[0]!.writeQueue(PATH, 'a', deviceQueue({ revision: 1 }), undefined);
    const append = async (store: DatabaseDeliveryStore): Promise<void> => {
      for (let kept = 0; kept < CHANGES;) {
        const before = (await store.readQueue(PATH, 'a'))!;
        const seqs = Array.from({ length: before.waiting.length + 1 }, (_, index) => index + 1);
        const next = deviceQueue({ revision: before.revision + 1, seqs });
        if (await store.writeQueue(PATH, 'a', next, before.revision)) kept++;
      }
    };
    await Promise.all(stores.map(append));
    const queue = (await stores[0]!.readQueue(PATH, 'a'))!;
    expect(queue.waiting).toHaveLength(CHANGES * PROCESSES);
    expect(queue.revision).toBe(CHANGES * PROCESSES + 1);
  });
});

describe('The store of deliveries on a Postgres server that is killed', () => {
  let server: PostgresServer;
  let database: Database;
  beforeAll(async () => {
    server = await PostgresServer.start(await freePort());
    database = openDatabase({ url: server.url, directory: '' });
    await migrate(database);
  }, 60_000);
  afterAll(async () => {
    await database.destroy();
    await server.close();
  });

  it('rejects while there is none, and works afterwards with what it has confirmed', async () => {
    const store = new DatabaseDeliveryStore(database);
    let last = 0;
    let isKilled = false;
    const writing = (async () => {
      for (let revision = 1; ; revision++) {
        const after = revision === 1 ? undefined : revision - 1;
        await store.writeQueue(PATH, 'a', deviceQueue({ revision }), after);
        last = revision;
        if (revision === 50) void server.kill().then(() => (isKilled = true));
      }
    })();
    await expect(writing).rejects.toThrow();
    expect(last).toBeGreaterThanOrEqual(50);
    await server.kill();
    expect(isKilled).toBe(true);
    await expect(store.claim(PATH, 'a')).rejects.toThrow();
    await expect(store.readQueue(PATH, 'a')).rejects.toThrow();
    await server.restart();
    // The write without an answer may have been kept.
    const { revision } = (await store.readQueue(PATH, 'a'))!;
    expect([last, last + 1]).toContain(revision);
    expect(await store.writeQueue(PATH, 'a', deviceQueue({ revision: LATER }), revision)).toBe(true);
  }, 60_000);

  it('rejects when it does not answer', async () => {
    const another = openDatabase({ url: server.url, directory: '' });
    server.freeze();
    await expect(new DatabaseDeliveryStore(another).readQueue(PATH, 'b')).rejects.toThrow(/timeout/i);
    server.thaw();
    expect(await new DatabaseDeliveryStore(another).readQueue(PATH, 'b')).toBeUndefined();
    await another.destroy();
  }, 60_000);
});
