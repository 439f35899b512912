/** Deliveries byte by byte: our client with a raw cloud (PROTOCOL.md §6.4). */
import {
  type FedecksClientOptions,
  FedecksClient,
  MemoryOutboxStore,
  MemoryTokenStore,
} from '@fedecks/nest/client';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChildApp, Program } from './support/child-app.js';
import { ClientLog } from './support/client-log.js';
import { type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';
import { chars, int, list, str, term, tuple } from './support/term-bytes.js';

const NO_LOSSES = { full: 0, expired: 0, rejected: 0, replaced: 0, failed: 0, damaged: 0 };
const nil = Buffer.from([0x6a]);
const resume = (
  handled: readonly (readonly [lane: number, epoch: string, seq: number])[] = [],
  messages = 8,
  bytes = 16_384,
): Buffer =>
  term(
    tuple(
      chars('resume'),
      handled.length === 0
        ? nil
        : list(...handled.map(([lane, epoch, seq]) => tuple(int(lane), str(epoch), int(seq)))),
      int(messages),
      int(bytes),
    ),
  );
const ack = (lane: number, seq: number, messages = 8, bytes = 16_384): Buffer =>
  term(tuple(chars('ack'), int(lane), int(seq), int(messages), int(bytes)));
const nack = (lane: number, seq: number, code: string, text: string): Buffer =>
  term(tuple(chars('nack'), int(lane), int(seq), str(code), str(text)));

interface Delivered {
  readonly lane: number;
  readonly seq: number;
  readonly epoch: string;
  readonly attempt: number;
  readonly nacks: number;
  readonly ageMs: number;
  readonly message: Buffer;
}

/** Reads a `deliver` by hand: `83 68 08 6b 0007 "deliver"`, small numbers, and the message with its version byte. */
function parse(payload: Buffer): Delivered {
  const head = term(tuple(chars('deliver'))).fill(8, 2, 3);
  expect(payload.subarray(0, head.length)).toEqual(head);
  let at = head.length;
  const number = (): number => {
    const isSmall = payload[at] === 0x61;
    expect(payload[at]).toBe(isSmall ? 0x61 : 0x62);
    const value = isSmall ? payload.readUInt8(at + 1) : payload.readInt32BE(at + 1);
    at += isSmall ? 2 : 5;
    return value;
  };
  const text = (): string => {
    expect(payload[at]).toBe(0x6d);
    const end = at + 5 + payload.readUInt32BE(at + 1);
    const value = payload.toString('latin1', at + 5, end);
    at = end;
    return value;
  };
  const [lane, seq, epoch, attempt, nacks, ageMs] = [
    number(),
    number(),
    text(),
    number(),
    number(),
    number(),
  ];
  return { lane, seq, epoch, attempt, nacks, ageMs, message: payload.subarray(at) };
}

let cloud: PhoenixPeer;
let client: FedecksClient;
let log: ClientLog;
let device: PeerConnection;

beforeEach(async () => (cloud = await PhoenixPeer.listen()));
afterEach(async () => {
  await client.stop();
  await cloud.close();
});

function makeClient(more: Partial<FedecksClientOptions> = {}): void {
  client = new FedecksClient({
    url: cloud.url,
    deviceId: 'nerves-242a',
    tokenStore: new MemoryTokenStore('t'),
    startDelayMs: 0,
    retryMinMs: 1,
    retryMaxMs: 5,
    closeTimeoutMs: 50,
    outbox: new MemoryOutboxStore(),
    ...more,
  });
  log = new ClientLog(client);
}

/** Accepts the next connection, and takes what asks for a token. */
async function accept(headers = 'x-fedecks-protocol: 2\r\n'): Promise<void> {
  device = await cloud.accept();
  device.upgrade(undefined, headers);
  await device.frame();
}

async function connect(more?: Partial<FedecksClientOptions>): Promise<void> {
  makeClient(more);
  await client.start();
  await accept();
  expect((await device.frame()).payload).toEqual(resume([], 0, 0));
}

async function delivery(): Promise<Delivered> {
  return parse((await device.frame()).payload);
}

async function texts(count: number): Promise<string[]> {
  const found: string[] = [];
  for (let index = 0; index < count; index++)
    found.push((await delivery()).message.toString('latin1').at(-1)!);
  return found;
}

/** Nothing comes before the answer to a ping. */
async function expectSilence(): Promise<void> {
  device.ping('quiet?');
  expect((await device.frame()).payload.toString()).toBe('quiet?');
}

describe('a client with an outbox', () => {
  it('says resume first, and delivers after that of the cloud', async () => {
    await connect();
    const { id, done } = await client.deliver('log', 7);
    expect(client.outbox).toMatchObject({ size: 1, state: 'waiting' });
    await expectSilence();
    device.binary(resume());
    const { epoch, ageMs, ...rest } = await delivery();
    expect(rest).toEqual({
      lane: 0,
      seq: 1,
      attempt: 1,
      nacks: 0,
      message: tuple(str('log'), int(7)),
    });
    expect(epoch).toMatch(/^[\w-]{22}$/);
    expect(id).toBe(`${epoch}/0/1`);
    expect(ageMs).toBeGreaterThanOrEqual(0);
    expect(client.outbox).toMatchObject({ size: 1, state: 'flowing' });
    device.binary(ack(0, 1));
    expect(await done).toBe('handled');
    expect(await log.until('delivered')).toEqual({ type: 'delivered', id, lane: 'default' });
    expect(client.outbox).toEqual({ size: 0, bytes: 0, state: 'flowing', losses: NO_LOSSES });
  });

  it('keeps messages before it is connected, and delivers them in order', async () => {
    makeClient();
    const kept = await Promise.all([1, 2, 3].map((value) => client.deliver('log', `${value}`)));
    expect(new Set(kept.map(({ id }) => id)).size).toBe(3);
    expect(client.outbox).toMatchObject({ size: 3, state: 'offline' });
    await client.start();
    await accept();
    await device.frame();
    device.binary(resume());
    const first = await delivery();
    expect([first.seq, first.epoch.length]).toEqual([1, 22]);
    // The epoch is named only when it changes.
    expect((await delivery()).epoch).toBe('');
    expect(await texts(1)).toEqual(['3']);
  });

  it('keeps messages before it has a token', async () => {
    makeClient({ tokenStore: new MemoryTokenStore() });
    await client.start();
    await client.deliver('log', 1);
    expect(client.status).toBe('unregistered');
    expect(client.outbox.size).toBe(1);
  });

  it.each([
    ['messages', resume([], 2), 2],
    ['bytes', resume([], 8, 30), 1],
  ])('has no more under way than the granted %s', async (_what, granted, count) => {
    await connect();
    for (const value of ['1', '2', '3']) await client.deliver('log', value);
    device.binary(granted);
    expect(await texts(count)).toEqual(['1', '2'].slice(0, count));
    await expectSilence();
    device.binary(ack(0, 1));
    expect(await texts(1)).toEqual([`${count + 1}`]);
  });

  it('sends again with backoff what the cloud has failed to handle', async () => {
    await connect();
    const { done } = await client.deliver('log', 1);
    device.binary(resume());
    await delivery();
    device.binary(nack(0, 1, 'failed', 'no database'));
    await expectSilence();
    expect(await delivery()).toMatchObject({
      seq: 1,
      attempt: 2,
      nacks: 1,
      epoch: expect.stringMatching(/./) as string,
    });
    device.binary(ack(0, 1));
    expect(await done).toBe('handled');
  });

  it.each([['invalid'], ['no_handler']] as const)('gives up what the cloud refuses: %s', async (code) => {
    await connect();
    const { id, done } = await client.deliver('log', 1);
    const next = await client.deliver('log', 2);
    device.binary(resume());
    await delivery();
    await delivery();
    device.binary(nack(0, 1, code, 'why'));
    expect(await done).toBe('rejected');
    expect(await log.until('delivery_rejected')).toEqual({
      type: 'delivery_rejected',
      id,
      lane: 'default',
      code,
      text: 'why',
    });
    expect(client.outbox.losses).toEqual({ ...NO_LOSSES, rejected: 1 });
    expect(await delivery()).toMatchObject({ seq: 2, attempt: 1, nacks: 1 });
    device.binary(ack(0, 2));
    expect(await next.done).toBe('handled');
  });

  it('delivers again after a lost connection, but not what the cloud has handled', async () => {
    await connect();
    const one = await client.deliver('log', '1');
    const two = await client.deliver('log', '2');
    device.binary(resume());
    const { epoch } = await delivery();
    await delivery();
    device.reset();
    // Both were written, and neither counts as a message of `send`.
    expect(await log.until('connection_lost')).toEqual({ type: 'connection_lost', cause: 'ended' });
    await accept();
    await device.frame();
    device.binary(resume([[0, epoch, 1]]));
    expect(await one.done).toBe('handled');
    expect(await delivery()).toMatchObject({ seq: 2, attempt: 2, epoch });
    device.binary(ack(0, 2));
    expect(await two.done).toBe('handled');
  });

  it('takes a new epoch when the cloud has handled more than it ever sent', async () => {
    await connect();
    const { done } = await client.deliver('log', '1');
    device.binary(resume());
    const { epoch } = await delivery();
    device.reset();
    await accept();
    await device.frame();
    device.binary(resume([[0, epoch, 9]]));
    expect((await device.frame()).payload.readUInt16BE()).toBe(1002);
    device.fin();
    await accept();
    await device.frame();
    device.binary(resume([[0, epoch, 9]]));
    const again = await delivery();
    expect(again).toMatchObject({ lane: 0, seq: 1 });
    expect(again.epoch).not.toBe(epoch);
    device.binary(ack(0, 1));
    expect(await done).toBe('handled');
  });

  it('lets lanes go on without each other', async () => {
    await connect();
    await client.deliver('log', '1');
    const alarm = await client.deliver('alarm', '2', { lane: 'alarms' });
    device.binary(resume([], 1));
    expect([await delivery(), await delivery()]).toMatchObject([
      { lane: 0, seq: 1 },
      { lane: 1, seq: 1 },
    ]);
    device.binary(nack(0, 1, 'failed', ''));
    device.binary(ack(1, 1));
    expect(await alarm.done).toBe('handled');
    await client.deliver('alarm', '3', { lane: 'alarms' });
    expect(await delivery()).toMatchObject({ lane: 1, seq: 2 });
  });

  it('replaces a waiting message by one with its key', async () => {
    await connect();
    const old = await client.deliver('state', '1', { key: 'k' });
    await client.deliver('state', '2', { key: 'k' });
    expect(await old.done).toBe('dropped');
    expect(await log.until('delivery_dropped')).toMatchObject({ id: old.id, cause: 'replaced' });
    expect(client.outbox.losses).toEqual({ ...NO_LOSSES, replaced: 1 });
    device.binary(resume());
    expect(await texts(1)).toEqual(['2']);
    await expectSilence();
  });

  it('gives up a message whose time has passed', async () => {
    await connect();
    const { id, done } = await client.deliver('log', '1', { ttlMs: 20 });
    expect(await done).toBe('expired');
    expect(await log.until('delivery_expired')).toMatchObject({ id });
    expect(client.outbox.losses).toEqual({ ...NO_LOSSES, expired: 1 });
    expect(client.outbox.size).toBe(0);
  });

  it('drops the oldest when it is full', async () => {
    await connect({ outbox: new MemoryOutboxStore({ maxMessages: 2 }) });
    const kept = [];
    for (const value of ['1', '2', '3']) kept.push(await client.deliver('log', value));
    expect(await kept[0]!.done).toBe('dropped');
    expect(await log.until('delivery_dropped')).toMatchObject({ id: kept[0]!.id, cause: 'full' });
    expect(client.outbox.losses).toEqual({ ...NO_LOSSES, full: 1 });
    device.binary(resume());
    expect(await texts(2)).toEqual(['2', '3']);
  });

  it('drops a message for which there is no room before it is known to be kept', async () => {
    makeClient({ outbox: new MemoryOutboxStore({ maxMessages: 1 }) });
    const [one, two] = await Promise.all([client.deliver('log', '1'), client.deliver('log', '2')]);
    expect(await one.done).toBe('dropped');
    expect(await log.until('delivery_dropped')).toMatchObject({ id: one.id, cause: 'full' });
    await client.start();
    await accept();
    await device.frame();
    device.binary(resume());
    expect(await texts(1)).toEqual(['2']);
    device.binary(ack(0, 2));
    expect(await two.done).toBe('handled');
  });

  it('rejects a message when it is full, if it is to', async () => {
    await connect({ outbox: new MemoryOutboxStore({ maxMessages: 1, full: 'reject' }) });
    await client.deliver('log', '1');
    await expect(client.deliver('log', '2')).rejects.toMatchObject({ code: 'outbox-full' });
    expect(client.outbox).toMatchObject({ size: 1, losses: { ...NO_LOSSES, full: 1 } });
  });

  it('rejects what is no term, a wrong option, and everything after stop', async () => {
    await connect();
    await expect(client.deliver('log', (() => 1) as never)).rejects.toMatchObject({
      code: 'unsupported-type',
    });
    await expect(client.deliver('log', 1, { ttlMs: 0 })).rejects.toThrow('ttlMs must be a number above 0');
    await expect(client.deliver('log', 'x'.repeat(262_000))).rejects.toThrow(
      'at most 261120 can be delivered',
    );
    await expect(client.deliver('log', 1, { durable: 'tape' as never })).rejects.toThrow("'durable' must be");
    await client.stop();
    await expect(client.deliver('log', 1)).rejects.toMatchObject({ code: 'client-stopped' });
  });

  it.each([
    ['an ack of what was never sent', ack(0, 5)],
    ['a nack of what was never sent', nack(0, 5, 'failed', '')],
    ['a second resume', resume()],
    ['an ack without a lane', term(tuple(chars('ack'), str('0'), int(1), int(1), int(1)))],
  ])('closes with 1002 on %s', async (_what, bytes) => {
    await connect();
    device.binary(resume());
    device.binary(bytes);
    expect(await log.until('connection_error')).toMatchObject({
      reason: expect.stringContaining('broke the protocol') as string,
    });
    expect((await device.frame()).payload.readUInt16BE()).toBe(1002);
  });

  it('sends nothing more to a cloud with protocol 1, and says so', async () => {
    makeClient();
    await client.start();
    await accept('');
    await client.deliver('log', 1);
    await expectSilence();
    expect(client.outbox).toMatchObject({ size: 1, state: 'not_supported' });
  });
});

describe('a client without an outbox', () => {
  it('says nothing of deliveries while it has no handler', async () => {
    makeClient({ outbox: undefined });
    await client.start();
    await accept();
    await expectSilence();
    expect(client.outbox).toEqual({ size: 0, bytes: 0, state: 'none', losses: NO_LOSSES });
    await expect(client.deliver('log', 1)).rejects.toMatchObject({ code: 'no-outbox' });
    device.binary(resume());
    await expectSilence();
    device.binary(ack(0, 1));
    expect((await device.frame()).payload.readUInt16BE()).toBe(1002);
  });
});

describe('a store that fails', () => {
  it('does not keep the client from connecting, and is opened with the next delivery', async () => {
    const outbox = new MemoryOutboxStore();
    const open = outbox.open.bind(outbox);
    outbox.open = () => Promise.reject(new Error('no disk'));
    makeClient({ outbox });
    await client.start();
    expect(await log.until('outbox_failed')).toEqual({
      type: 'outbox_failed',
      cause: 'unusable',
      reason: 'no disk',
    });
    await accept();
    await log.until('connected');
    await expect(client.deliver('log', 1)).rejects.toThrow('no disk');
    expect(client.outbox).toEqual({ size: 0, bytes: 0, state: 'failed', losses: NO_LOSSES });
    outbox.open = open;
    await client.deliver('log', 1);
    await device.frame();
    device.binary(resume());
    expect(await delivery()).toMatchObject({ seq: 1 });
  });

  it('is opened again while the client is connected', async () => {
    const outbox = new MemoryOutboxStore();
    const open = outbox.open.bind(outbox);
    outbox.open = () => Promise.reject(new Error('the disk is full'));
    makeClient({ outbox });
    await client.start();
    await accept();
    await log.until('outbox_failed');
    outbox.open = open;
    // After 5 s.
    expect((await device.frame(8_000)).payload).toEqual(resume([], 0, 0));
    expect(client.outbox.state).toBe('waiting');
  }, 15_000);

  it('does not keep the client from stopping when it hangs', async () => {
    const outbox = new MemoryOutboxStore();
    await connect({ outbox });
    outbox.close = () => new Promise(() => undefined);
    await client.stop();
    expect(await log.until('outbox_failed')).toMatchObject({ cause: 'stalled' });
  });

  it('is told when it throws, and the message is acknowledged all the same', async () => {
    const outbox = new MemoryOutboxStore();
    await connect({ outbox });
    const { done } = await client.deliver('log', 1);
    outbox.acknowledge = () => {
      throw new Error('out of order');
    };
    device.binary(resume());
    await delivery();
    device.binary(ack(0, 1));
    expect(await done).toBe('handled');
    expect(await log.until('outbox_failed')).toMatchObject({ reason: 'Error: out of order' });
  });
});

describe('a store of the application that is wrong', () => {
  it.each<[string, unknown]>([
    ['no object', 5],
    ['a record without a message', {}],
    ['a record without a time', { message: Uint8Array.of(131, 97, 1) }],
  ])('is told when it reads %s', async (_what, record) => {
    const outbox = new MemoryOutboxStore();
    outbox.read = () => Promise.resolve(record as never);
    await connect({ outbox });
    await client.deliver('log', 1);
    device.binary(resume());
    expect(await log.until('outbox_failed')).toMatchObject({
      cause: 'read_failed',
      reason: expect.stringContaining('must resolve with a record') as string,
    });
    expect(client.outbox.size).toBe(1);
  });

  it.each([undefined, 'one', 0, 1.5])('keeps nothing when it gives a message the number %j', async (seq) => {
    const outbox = new MemoryOutboxStore();
    outbox.append = () => Promise.resolve(seq as never);
    makeClient({ outbox });
    await expect(client.deliver('log', 1)).rejects.toThrow('must resolve with the number of the message');
  });

  it('is told when its flush throws, and the client connects again', async () => {
    const outbox = new MemoryOutboxStore();
    outbox.flush = () => {
      throw new Error('out of order');
    };
    await connect({ outbox });
    device.reset();
    expect(await log.until('outbox_failed')).toMatchObject({ reason: 'Error: out of order' });
    await accept();
  });

  it('is refused when another client uses it', async () => {
    const outbox = new MemoryOutboxStore();
    makeClient({ outbox });
    await client.deliver('log', 1);
    const second = new FedecksClient({
      url: cloud.url,
      deviceId: 'b',
      tokenStore: new MemoryTokenStore(),
      outbox,
    });
    await expect(second.deliver('log', 1)).rejects.toMatchObject({ code: 'outbox-locked' });
    await client.stop();
    await second.deliver('log', 1);
    await second.stop();
  });
});

describe('deliver without a compiler', () => {
  it.each<[unknown, string]>([
    [null, 'must be an object'],
    [5_000, 'must be an object'],
    [{ ttlMs: '5000' }, "ttlMs must be a number above 0, not '5000'."],
    [{ ttlMs: 0 }, 'ttlMs must be a number above 0, not 0.'],
    [{ key: 5 }, "'key' must be a string, not 5."],
    [{ key: null }, "'key' must be a string, not null."],
    [{ lane: {} }, "'lane' must be a string, not object."],
    [{ ttl: 5_000 }, "option 'ttl' does not exist (have: ttlMs, key, lane, durable)"],
    [{ durable: 'ssd' }, "'durable' must be 'memory', 'disk' or 'power', not 'ssd'."],
  ])('says what is wrong with the options %j', async (options, message) => {
    makeClient();
    await expect(client.deliver('log', 1, options as never)).rejects.toThrow(message);
    expect(client.outbox.size).toBe(0);
  });
});

describe('an outbox in a directory', () => {
  let directory: string;
  beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'fedecks-deliveries-'))));
  afterEach(() => rm(directory, { recursive: true }));

  it('delivers after a restart, under the epoch of the process before, as a second attempt', async () => {
    await connect({ outbox: directory });
    const { id } = await client.deliver('log', '1');
    device.binary(resume());
    const { epoch } = await delivery();
    await client.stop();
    await connect({ outbox: { directory, maxMessages: 10 } });
    await client.deliver('log', '2');
    device.binary(resume());
    expect(await delivery()).toMatchObject({ seq: 1, attempt: 2, epoch });
    const second = await delivery();
    expect(second).toMatchObject({ seq: 2, attempt: 1 });
    expect(second.epoch).not.toBe(epoch);
    device.binary(ack(0, 1));
    // The promise of the process before is gone: the event has its id.
    expect(await log.until('delivered')).toMatchObject({ id });
  });

  it('writes a message of degree memory when the client stops', async () => {
    makeClient({ outbox: directory });
    await client.deliver('log', '1', { durable: 'memory' });
    await client.stop();
    await connect({ outbox: directory });
    device.binary(resume());
    expect(await texts(1)).toEqual(['1']);
  });

  it('is used by one client at a time', async () => {
    makeClient({ outbox: directory });
    await client.deliver('log', '1');
    const second = new FedecksClient({
      url: cloud.url,
      deviceId: 'b',
      tokenStore: new MemoryTokenStore(),
      outbox: directory,
    });
    await expect(second.deliver('log', '1')).rejects.toMatchObject({ code: 'outbox-locked' });
    await second.stop();
  });

  it('delivers again after a kill -9 between deliver and ack', async () => {
    makeClient({ outbox: undefined });
    const program = await Program.compile('delivering-device.ts');
    const first = program.start([cloud.url, directory, '1']);
    let second: ChildApp | undefined;
    try {
      const kept = new Promise<string>((resolve) => first.onLine((line) => resolve(line)));
      await accept();
      await device.frame();
      device.binary(resume());
      const before = await delivery();
      const id = `${before.epoch}/0/1`;
      expect(await kept).toBe(`kept ${id}`);
      first.kill('SIGKILL');
      await first.exited(10_000);

      second = program.start([cloud.url, directory]);
      const delivered = new Promise<string>((resolve) => second!.onLine((line) => resolve(line)));
      await accept();
      await device.frame();
      device.binary(resume());
      const again = await delivery();
      expect(again).toMatchObject({ ...before, attempt: 2, ageMs: expect.any(Number) as number });
      expect(again.ageMs).toBeGreaterThan(before.ageMs);
      device.binary(ack(0, 1));
      expect(await delivered).toBe(`delivered ${id}`);
      second.kill('SIGKILL');
      await second.exited(10_000);
    } finally {
      first.dispose();
      second?.dispose();
    }
  }, 60_000);
});
