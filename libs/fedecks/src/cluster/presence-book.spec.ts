import { connect, type NatsConnection } from '@nats-io/transport-node';
import { eventually } from '../../test/support/eventually.js';
import { NatsServer } from '../../test/support/nats-server.js';
import { type BackplaneEndpoint, type ConnectedDevice } from '../server/index.js';
import { NatsBucket } from '../nats/nats-bucket.js';
import { resolveNatsOptions } from '../nats/nats-options.js';
import { type Bucket } from './bucket.js';
import { PresenceBook } from './presence-book.js';
import { isPresenceRecord, type PresenceRecord, recordOf } from './presence-record.js';
import { Subjects } from './subjects.js';

const REMEMBERED = 5;
const RETENTION_MS = 3_600_000;

const subjects = new Subjects('fleet', '/fedecks');
const events = {
  lives: () => true,
  announce: () => undefined,
  handOver: () => Promise.resolve(false),
  trouble: () => undefined,
};

let nats: NatsServer;
let nc: NatsConnection;
beforeAll(async () => {
  nats = await NatsServer.start();
  nc = await connect({ servers: nats.url });
});
afterAll(async () => {
  await nc.close();
  await nats.close();
});

function open(name: string): Promise<Bucket<PresenceRecord>> {
  return NatsBucket.open(nc, name, resolveNatsOptions({ servers: nats.url }), {
    retentionMs: undefined,
    isOne: (_key, value): value is PresenceRecord => isPresenceRecord(value),
    stray: () => undefined,
  });
}

function deviceOf(id: string, since: number): ConnectedDevice {
  return { id, endpoint: '/fedecks', remoteAddress: '::1', since, claims: undefined };
}

/** A node that holds what is in `connected`. */
function endpointOf(
  connected: Map<string, ConnectedDevice>,
  replaced: (id: string) => void,
): BackplaneEndpoint {
  return {
    path: '/fedecks',
    duplicates: 'newest',
    held: (id) => connected.get(id),
    all: () => connected.values(),
    write: () => undefined,
    disconnect: () => false,
    replace: replaced,
    revoked: () => undefined,
    writeToAll: () => undefined,
    changed: () => undefined,
    failed: () => undefined,
  };
}

it('Departures that cannot be written are remembered up to a number, and the others found by what is written', async () => {
  const bucket = await open('departures');
  const connected = new Map<string, ConnectedDevice>();
  const endpoint = endpointOf(connected, () => undefined);
  const book = new PresenceBook('node', RETENTION_MS, endpoint, subjects, events, REMEMBERED);
  await book.resume(bucket);
  for (let index = 0; index < 3 * REMEMBERED; index++) {
    const device = deviceOf(`${index}`, index);
    connected.set(device.id, device);
    book.opened(device);
  }
  expect(await book.written(10_000)).toBe(true);

  book.pause();
  const devices = [...connected.values()];
  connected.clear();
  for (const device of devices) book.closed(device, { type: 'closed_by_device', code: 1000 });
  expect(await book.written(10_000)).toBe(false);
  await book.resume(bucket);
  const causes = async (): Promise<(string | undefined)[]> => {
    const found: (string | undefined)[] = [];
    for await (const { value } of bucket.scan(subjects.keys)) found.push(value?.cause);
    return found.sort();
  };
  const expected = [
    ...Array<string>(REMEMBERED).fill('closed_by_device'),
    ...Array<string>(2 * REMEMBERED).fill('connection_lost'),
  ];
  await eventually(causes, (found) => found.join() === expected.join());
});

it('A device that is back stays, though word of where it was meanwhile comes late', async () => {
  const bucket = await open('back');
  const connected = new Map<string, ConnectedDevice>();
  const replaced: string[] = [];
  const endpoint = endpointOf(connected, (id) => replaced.push(id));
  const book = new PresenceBook('node', RETENTION_MS, endpoint, subjects, events);
  await book.resume(bucket);
  const connect = (since: number): void => {
    const device = deviceOf('lamp', since);
    connected.set('lamp', device);
    book.opened(device);
  };
  connect(1);
  expect(await book.written(10_000)).toBe(true);
  const elsewhere = await bucket.put(subjects.key('lamp'), recordOf(deviceOf('lamp', 2), 'other'));

  connect(3);
  book.announced('lamp', elsewhere ?? 0);
  expect(await book.written(10_000)).toBe(true);
  expect(replaced).toEqual([]);
  const { value, revision } = await bucket.get(subjects.key('lamp'));
  expect(value).toMatchObject({ node: 'node', since: 3 });

  book.announced('lamp', revision + 1);
  expect(replaced).toEqual(['lamp']);
});
