import { connect, type NatsConnection } from '@nats-io/transport-node';
import { eventually } from '../../test/support/eventually.js';
import { NatsServer } from '../../test/support/nats-server.js';
import { type BackplaneEndpoint } from '../server/index.js';
import { NatsBucket } from '../nats/nats-bucket.js';
import { resolveNatsOptions } from '../nats/nats-options.js';
import { type Bucket } from './bucket.js';
import { isRevocation, type Revocation, RevocationBucket } from './revocation-bucket.js';
import { Subjects } from './subjects.js';

const subjects = new Subjects('fleet', '/fedecks');
const endpoint = { revoked: () => undefined } as Partial<BackplaneEndpoint> as BackplaneEndpoint;

let nats: NatsServer;
let nc: NatsConnection;
let names = 0;
beforeAll(async () => {
  nats = await NatsServer.start();
  nc = await connect({ servers: nats.url });
});
afterAll(async () => {
  await nc.close();
  await nats.close();
});

function open(name: string): Promise<Bucket<Revocation>> {
  return NatsBucket.open(nc, name, resolveNatsOptions({ servers: nats.url }), {
    retentionMs: undefined,
    isOne: (_key, value): value is Revocation => isRevocation(value),
    stray: () => undefined,
  });
}

async function keys(bucket: Bucket<Revocation>): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of bucket.scan(subjects.keys)) found.push(subjects.textOf(key));
  return found;
}

it('all nodes and NATS delete a revocation when the tokens it revokes have expired, not before', async () => {
  const bucket = await open(`revocations${++names}`);
  const [one, two] = [new RevocationBucket(endpoint, subjects), new RevocationBucket(endpoint, subjects)];
  await Promise.all([one.resume(bucket), two.resume(bucket)]);
  const now = Date.now();
  await one.revoke('expired', now - 2, now - 1);
  await one.revoke('lasting', now, now + 3_600_000);
  for (const id of ['expired', 'lasting']) {
    await eventually(
      () => two.revokedAt(id),
      (at) => at !== undefined,
    );
  }
  await two.forget();
  expect(await keys(bucket)).toEqual(['lasting']);
  expect([two.revokedAt('expired'), two.revokedAt('lasting')]).toEqual([undefined, now]);
  await one.forget();
  expect([one.revokedAt('expired'), one.revokedAt('lasting')]).toEqual([undefined, now]);
  one.pause();
  two.pause();
});

it('a node does not delete an expired revocation that another node has renewed', async () => {
  const bucket = await open(`revocations${++names}`);
  const store = new RevocationBucket(endpoint, subjects);
  await store.resume(bucket);
  const now = Date.now();
  await store.revoke('lamp', now - 2, now - 1);
  // Written by another node, and not known to this one yet.
  const renewed = { at: now, until: now + 3_600_000 };
  const written = bucket.put(subjects.key('lamp'), renewed);
  await store.forget();
  await written;
  await store.forget();
  expect(await bucket.get(subjects.key('lamp'))).toMatchObject({ value: renewed });
  await eventually(
    () => store.revokedAt('lamp'),
    (at) => at === now,
  );
  store.pause();
});

it('concurrent revocations of two nodes exceed both previous ones, and both nodes learn the greater', async () => {
  const bucket = await open(`revocations${++names}`);
  const observed: [string, number][] = [];
  const listening = { revoked: (id, at) => void observed.push([id, at]) } as Partial<BackplaneEndpoint>;
  const [ahead, behind] = [
    new RevocationBucket(endpoint, subjects),
    new RevocationBucket(listening as BackplaneEndpoint, subjects),
  ];
  await Promise.all([ahead.resume(bucket), behind.resume(bucket)]);
  const now = Date.now();
  // The second node's watch has not delivered it yet, and its clock is an hour behind.
  const first = ahead.revoke('lamp', now + 3_600_000, now + 7_200_000);
  const second = first.then(() => behind.revoke('lamp', now, now + 3_600_000));
  await second;
  expect(behind.revokedAt('lamp')).toBe(now + 3_600_001);
  expect(observed.at(-1)).toEqual(['lamp', now + 3_600_001]);
  expect((await bucket.get(subjects.key('lamp'))).value?.at).toBe(now + 3_600_001);
  await eventually(
    () => ahead.revokedAt('lamp'),
    (at) => at === now + 3_600_001,
  );
  ahead.pause();
  behind.pause();
});

it('nodes with correct clocks do not delete a revocation of a node whose clock is behind', async () => {
  const bucket = await open(`revocations${++names}`);
  const [one, two] = [new RevocationBucket(endpoint, subjects), new RevocationBucket(endpoint, subjects)];
  await Promise.all([one.resume(bucket), two.resume(bucket)]);
  await one.revoke('lamp', 1_000, 3_601_000);
  await eventually(
    () => two.revokedAt('lamp'),
    (at) => at === 1_000,
  );
  await Promise.all([one.forget(), two.forget()]);
  expect([one.revokedAt('lamp'), two.revokedAt('lamp')]).toEqual([1_000, 1_000]);
  const later = new RevocationBucket(endpoint, subjects);
  await later.resume(bucket);
  await later.forget();
  expect(later.revokedAt('lamp')).toBe(1_000);
  for (const node of [one, two, later]) node.pause();
});
