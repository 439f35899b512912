import { connect, type NatsConnection } from '@nats-io/transport-node';
import { eventually } from '../../test/support/eventually.js';
import { NatsServer } from '../../test/support/nats-server.js';
import { type BackplaneEndpoint, type ConnectedDevice } from '../server/index.js';
import { Bucket } from './bucket.js';
import { resolveNatsOptions } from './nats-options.js';
import { PresenceBook } from './presence-book.js';
import { isPresenceRecord, type PresenceRecord } from './presence-record.js';
import { Subjects } from './subjects.js';

const REMEMBERED = 5;

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

it('Departures that cannot be written are remembered up to a number, and the others found by what is written', async () => {
  const options = resolveNatsOptions({ servers: nats.url });
  const subjects = new Subjects('book', '/fedecks');
  const isOne = (_key: string, value: unknown): value is PresenceRecord => isPresenceRecord(value);
  const entries = { retentionMs: undefined, isOne, stray: () => undefined };
  const bucket = await Bucket.open(nc, 'book', options, entries);
  const connected = new Map<string, ConnectedDevice>();
  const endpoint: BackplaneEndpoint = {
    path: '/fedecks',
    duplicates: 'newest',
    held: (id) => connected.get(id),
    all: () => connected.values(),
    write: () => undefined,
    disconnect: () => false,
    replace: () => undefined,
    revoked: () => undefined,
    writeToAll: () => undefined,
    changed: () => undefined,
    failed: () => undefined,
  };
  const events = {
    lives: () => true,
    announce: () => undefined,
    handOver: () => Promise.resolve(false),
    trouble: () => undefined,
  };
  const retentionMs = options.presenceRetentionMs;
  const book = new PresenceBook('node', retentionMs, endpoint, subjects, events, REMEMBERED);
  await book.resume(bucket);
  for (let index = 0; index < 3 * REMEMBERED; index++) {
    const device = {
      id: `${index}`,
      endpoint: '/fedecks',
      remoteAddress: '::1',
      since: index,
      claims: undefined,
    };
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
