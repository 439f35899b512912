/** Messages that end while a client takes a new epoch, with a raw cloud (PROTOCOL.md §6.4). */
import { type ClientEvent, FedecksClient, MemoryOutboxStore, MemoryTokenStore } from '@fedecks/nest/client';
import { ClientLog } from './support/client-log.js';
import { type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';
import { ack, type Handled, resume } from './support/raw-deliveries.js';

/** Takes a new epoch when the test lets it, and may keep messages without saying so. */
class SlowOutbox extends MemoryOutboxStore {
  private beginEpoch = (): void => undefined;
  private letEpoch = (): void => undefined;
  private letAppend = (): void => undefined;
  private readonly mayEnd = new Promise<void>((resolve) => (this.letEpoch = resolve));
  private mayKeep = Promise.resolve();
  /** Resolves when a new epoch is asked for. */
  readonly epochBegun = new Promise<void>((resolve) => (this.beginEpoch = resolve));

  override async newEpoch() {
    this.beginEpoch();
    await this.mayEnd;
    return super.newEpoch();
  }

  override async append(...args: Parameters<MemoryOutboxStore['append']>) {
    const seq = await super.append(...args);
    await this.mayKeep;
    return seq;
  }

  endEpoch(): void {
    this.letEpoch();
  }

  holdAppends(): void {
    this.mayKeep = new Promise((resolve) => (this.letAppend = resolve));
  }

  endAppends(): void {
    this.letAppend();
  }
}

let cloud: PhoenixPeer;
let client: FedecksClient;
let log: ClientLog;
let outbox: SlowOutbox;
let device: PeerConnection;

beforeEach(async () => {
  cloud = await PhoenixPeer.listen();
  outbox = new SlowOutbox({ maxMessages: 3 });
  client = new FedecksClient({
    url: cloud.url,
    deviceId: 'nerves-242a',
    tokenStore: new MemoryTokenStore('t'),
    startDelayMs: 0,
    retryMinMs: 1,
    retryMaxMs: 5,
    closeTimeoutMs: 50,
    outbox,
  });
  log = new ClientLog(client);
});
afterEach(async () => {
  await client.stop();
  await cloud.close();
});

/** Takes the next connection up to the client's resume, which comes when it has an epoch. */
async function accept(): Promise<void> {
  device = await cloud.accept();
  device.upgrade(undefined, 'x-fedecks-protocol: 2\r\n');
  await device.frame();
}

async function expectResume(): Promise<void> {
  expect((await device.frame()).payload.toString('latin1')).toContain('resume');
}

/** The cloud has handled what this client never sent. */
function handledTooMuch(): Handled[] {
  return [[0, outbox.state().epoch, 99]];
}

async function renumber(): Promise<void> {
  device.binary(resume(handledTooMuch()));
  await outbox.epochBegun;
}

/** The next outcomes that the client reports. */
async function outcomes(count: number): Promise<ClientEvent[]> {
  const found: ClientEvent[] = [];
  while (found.length < count) {
    const event = await log.next();
    if (event.type.startsWith('delivery_')) found.push(event);
  }
  return found;
}

/** The next delivery ends in this byte. */
async function expectDelivery(value: string): Promise<void> {
  const text = (await device.frame()).payload.toString('latin1');
  expect(text).toContain('deliver');
  expect(text.at(-1)).toBe(value);
}

it('reports what expires, is replaced or dropped while a new epoch is taken', async () => {
  await client.start();
  await accept();
  await expectResume();
  const expiring = await client.deliver('log', '1', { ttlMs: 150 });
  const replaced = await client.deliver('log', '2', { key: 'k' });
  await renumber();
  await client.deliver('log', '3', { key: 'k' });
  expect(await replaced.done).toBe('dropped');
  expect(await expiring.done).toBe('expired');
  // A slow process may report what expires first.
  expect((await outcomes(2)).sort((a, b) => a.type.localeCompare(b.type))).toMatchObject([
    { type: 'delivery_dropped', id: replaced.id, cause: 'replaced' },
    { type: 'delivery_expired', id: expiring.id },
  ]);
  const second = await client.deliver('log', '4');
  // There is room for three: '3' is dropped, and then '4'.
  for (const value of ['5', '6', '7']) await client.deliver('log', value);
  expect(await second.done).toBe('dropped');
  expect(client.outbox.losses).toMatchObject({ expired: 1, replaced: 1, full: 2 });
  outbox.endEpoch();
  await accept();
  await expectResume();
  device.binary(resume());
  for (const value of ['5', '6', '7']) await expectDelivery(value);
});

it('reports a dropped message that was under way when the cloud makes it take a new epoch', async () => {
  await client.start();
  await accept();
  await expectResume();
  const one = await client.deliver('log', '1', { key: 'k' });
  device.binary(resume());
  await expectDelivery('1');
  const two = await client.deliver('log', '2', { key: 'k' });
  device.reset();
  await accept();
  await expectResume();
  await renumber();
  expect(await one.done).toBe('dropped');
  expect(await log.until('delivery_dropped')).toMatchObject({ id: one.id, cause: 'replaced' });
  outbox.endEpoch();
  await accept();
  await expectResume();
  device.binary(resume());
  await expectDelivery('2');
  device.binary(ack(2, 8, 16_384));
  expect(await two.done).toBe('handled');
});

it('settles a message that the cloud has handled before the store says that it is kept', async () => {
  await client.start();
  await accept();
  await expectResume();
  outbox.holdAppends();
  const delivering = client.deliver('log', '1');
  await renumber();
  outbox.endEpoch();
  await accept();
  await expectResume();
  device.binary(resume());
  await expectDelivery('1');
  device.binary(ack(1, 8, 16_384));
  device.ping('read?');
  await device.frame();
  outbox.endAppends();
  const { id, done } = await delivering;
  expect(await done).toBe('handled');
  expect(await log.until('delivered')).toMatchObject({ id });
});
