/** Deliveries to a device byte by byte: our client with a raw cloud (PROTOCOL.md §6.4). */
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type DeliveryContext,
  FedecksClient,
  type FedecksClientOptions,
  FileTokenStore,
  MemoryOutboxStore,
  MemoryTokenStore,
} from '@fedecks/nest/client';
import { NEVER, of } from 'rxjs';
import { ClientLog } from './support/client-log.js';
import { eventually } from './support/eventually.js';
import { Inbox } from './support/inbox.js';
import { type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';
import {
  acceptDevice,
  acceptReceiver,
  expectBytes,
  expectClose,
  expectSilence,
  update,
} from './support/raw-cloud.js';
import { ack, deliver, type Handled, nack, result, resume } from './support/raw-deliveries.js';
import { chars, int, list, str, term, tuple } from './support/term-bytes.js';

const ID = 'nerves-242a';
const EPOCH = 'E';

let cloud: PhoenixPeer;
let client: FedecksClient;
let log: ClientLog;
let device: PeerConnection;
let calls: Inbox<{ readonly payload: unknown; readonly context: DeliveryContext }>;
/** What the handler of 'update' does. */
let handler: (payload: unknown, context: DeliveryContext) => unknown;

beforeEach(async () => (cloud = await PhoenixPeer.listen()));
afterEach(async () => {
  await client.stop();
  await cloud.close();
});

function makeClient(more: Partial<FedecksClientOptions> = {}): void {
  client = new FedecksClient({
    url: cloud.url,
    deviceId: ID,
    tokenStore: new MemoryTokenStore('t'),
    startDelayMs: 0,
    retryMinMs: 1,
    retryMaxMs: 5,
    closeTimeoutMs: 50,
    ...more,
  });
  log = new ClientLog(client);
  calls = new Inbox('delivery');
  handler = () => undefined;
  client.onDelivery('update', (payload, context) => {
    calls.put({ payload, context });
    return handler(payload, context);
  });
}

async function connect(
  more: Partial<FedecksClientOptions> = {},
  handled: readonly Handled[] = [],
): Promise<void> {
  makeClient(more);
  await client.start();
  device = await acceptReceiver(cloud, handled);
}

/** What the device says when it has handled a delivery at once, after so many others. */
function handled(seq: number, bytes: Buffer, before = 0, lane = 0): Buffer {
  return ack(seq, 9 + before, 16_384 + (before + 1) * bytes.length, lane);
}

describe('a client without an outbox', () => {
  it('says nothing of deliveries until the cloud sends its resume, and answers with its own', async () => {
    makeClient();
    await client.start();
    device = await acceptDevice(cloud);
    await expectSilence(device);
    device.binary(resume());
    await expectBytes(device, Buffer.from('8368046b0006726573756d656a6108620000' + '4000', 'hex'));
  });

  it('handles the delivery of PROTOCOL.md, and sends its result before the ack', async () => {
    await connect();
    client.onDelivery('read', () => 21);
    const bytes = Buffer.from(
      '8368086b000764656c6976657261006107' +
        '6d00000003653432' +
        '6101610062000003e8' +
        '68026d00000004726561646105',
      'hex',
    );
    device.binary(bytes);
    await expectBytes(
      device,
      Buffer.from('8368046b0006726573756c7461006107' + '6115', 'hex'),
      handled(7, bytes),
    );
  });

  it('tells the handler which delivery it is', async () => {
    await connect();
    handler = () => NEVER;
    const before = Date.now();
    device.binary(update(7, str('v2'), { lane: 3, epoch: 'e42', attempt: 2, ageMs: 60_000 }));
    const { payload, context } = await calls.next();
    expect(payload).toBe('v2');
    const { id, lane, attempt, ageMs, sentAt, signal } = context;
    expect({ id, lane, attempt }).toEqual({ id: 'e42/3/7', lane: 3, attempt: 2 });
    expect(ageMs).toBeGreaterThanOrEqual(60_000);
    expect(ageMs).toBeLessThan(65_000);
    expect(Math.abs(before - 60_000 - sentAt!.getTime())).toBeLessThan(5_000);
    expect(signal.aborted).toBe(false);
  });

  it('invents no age when the cloud does not know it', async () => {
    await connect();
    device.binary(update(1, str('v2'), { ageMs: -1 }));
    const { context } = await calls.next();
    expect([context.ageMs, context.sentAt]).toEqual([undefined, undefined]);
  });

  it.each<[string, () => unknown, Buffer | undefined]>([
    ['a value', () => 'done', str('done')],
    ['false', () => false, Buffer.from('7705' + Buffer.from('false').toString('hex'), 'hex')],
    ['a promise', async () => 'done', str('done')],
    ['nothing', () => undefined, undefined],
    ['null', async () => null, undefined],
    ['a stream', () => of('one', 'two'), undefined],
    [
      'a generator',
      async function* () {
        yield 'one';
        yield 'two';
      },
      undefined,
    ],
  ])('acknowledges when the handler has finished that returns %s', async (_what, returns, value) => {
    await connect();
    handler = returns;
    const bytes = update(1);
    device.binary(bytes);
    if (value) await expectBytes(device, result(1, value));
    await expectBytes(device, handled(1, bytes));
    await expectSilence(device);
  });

  it('does not acknowledge before a promise has resolved, or a stream has ended', async () => {
    await connect();
    handler = () => NEVER;
    device.binary(update(1));
    await calls.next();
    await expectSilence(device);
  });

  it('sends a result of 16,384 bytes', async () => {
    await connect();
    const text = 'x'.repeat(16_384 - 6);
    handler = () => text;
    const bytes = update(1);
    device.binary(bytes);
    await expectBytes(device, result(1, str(text)), handled(1, bytes));
  });

  it.each([
    ['is larger', () => 'x'.repeat(16_384 - 5), 'it has 16385 bytes, and at most 16384 are sent'],
    ['is no term', () => ({ run: () => 1 }), expect.stringMatching(/^\$\.run /) as unknown],
  ])('sends no result that %s, and says so', async (_what, returns, reason) => {
    await connect();
    handler = returns;
    const bytes = update(1);
    device.binary(bytes);
    await expectBytes(device, handled(1, bytes));
    expect(await log.until('delivery_result_dropped')).toEqual({
      type: 'delivery_result_dropped',
      id: 'E/0/1',
      reason,
    });
  });

  it.each([
    [
      'throws',
      () => {
        throw new RangeError('the password is swordfish');
      },
    ],
    ['rejects', () => Promise.reject(new RangeError('the password is swordfish'))],
  ])('nacks as failed when the handler %s, and takes the message again', async (_what, fails) => {
    await connect();
    handler = fails;
    device.binary(update(1));
    device.binary(update(2));
    await expectBytes(device, nack(1, 'failed', 'internal error'));
    expect(await log.until('delivery_failed')).toEqual({
      type: 'delivery_failed',
      id: 'E/0/1',
      reason: 'RangeError',
      error: expect.any(RangeError) as unknown,
    });
    await calls.next();
    handler = () => undefined;
    const [again, next] = [
      update(1, str('v2'), { attempt: 2, nacks: 1 }),
      update(2, str('v2'), { nacks: 1 }),
    ];
    device.binary(again);
    await expectBytes(device, handled(1, again));
    device.binary(next);
    await expectBytes(device, handled(2, next, 1));
    expect([(await calls.next()).context.attempt, (await calls.next()).context.id]).toEqual([2, 'E/0/2']);
  });

  it.each([
    [
      'no handler takes',
      deliver(1, tuple(str('other'), int(1))),
      'no_handler',
      'no handler takes this event',
    ],
    ['is no event', deliver(1, int(5)), 'no_handler', 'no handler takes this event'],
    ['is no term', deliver(1, Buffer.from([0xff])), 'invalid', 'it is no safe term, or too large a one'],
    [
      'is not safe',
      deliver(1, Buffer.from('7100', 'hex')),
      'invalid',
      'it is no safe term, or too large a one',
    ],
  ])('nacks what %s, and goes on', async (_what, bytes, code, text) => {
    await connect();
    device.binary(bytes);
    await expectBytes(device, nack(1, code, text));
    const next = update(2, str('v2'), { nacks: 1 });
    device.binary(next);
    await expectBytes(device, handled(2, next));
  });

  it('handles a lane in order, and lanes side by side', async () => {
    await connect();
    let release = (): void => undefined;
    handler = (payload) =>
      payload === 'slow' ? new Promise<void>((resolve) => (release = resolve)) : undefined;
    const [slow, next, other] = [update(1, str('slow')), update(2), update(1, str('v2'), { lane: 7 })];
    device.binary(slow);
    device.binary(next);
    device.binary(other);
    await expectBytes(device, handled(1, other, 0, 7));
    await expectSilence(device);
    expect(calls.size).toBe(2);
    release();
    const { payload } = await device.frame();
    expect(payload.subarray(0, 13).toString('hex')).toBe('8368056b000361636b61006101');
    await device.frame();
    expect(calls.size).toBe(3);
  });

  it('lets the event loop go on between any two deliveries of a lane', async () => {
    await connect();
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    count();
    const at: number[] = [];
    handler = () => at.push(turns);
    device.cork();
    for (let seq = 1; seq <= 8; seq++) device.binary(update(seq));
    device.uncork();
    for (let seq = 1; seq <= 8; seq++) {
      await device.frame();
      await device.frame();
    }
    isOver = true;
    expect(new Set(at).size).toBe(8);
  });

  it('delivers nothing to `messages$`', async () => {
    await connect();
    const messages: unknown[] = [];
    client.messages$.subscribe((message) => messages.push(message));
    const bytes = update(1);
    device.binary(bytes);
    await expectBytes(device, handled(1, bytes));
    device.binary(term(int(5)));
    await expectSilence(device);
    expect(messages).toEqual([5]);
  });

  it('acknowledges again what it has handled, and does not handle it again', async () => {
    await connect();
    const bytes = update(1);
    device.binary(bytes);
    await expectBytes(device, handled(1, bytes));
    device.binary(bytes);
    await expectBytes(device, handled(1, bytes));
    expect(calls.size).toBe(1);
  });

  it('resumes a new connection with what it has handled', async () => {
    await connect();
    const [one, two] = [update(3), update(9, str('v2'), { lane: 2, epoch: 'F' })];
    device.binary(one);
    await expectBytes(device, handled(3, one));
    device.binary(two);
    await expectBytes(device, handled(9, two, 0, 2));
    device.reset();
    device = await acceptReceiver(cloud, [
      [0, EPOCH, 3],
      [2, 'F', 9],
    ]);
  });

  it('lets a handler go on when the connection is lost, and acknowledges on the next one', async () => {
    await connect();
    let release = (): void => undefined;
    handler = () => new Promise((resolve) => (release = () => resolve('done')));
    device.binary(update(1));
    const { context } = await calls.next();
    device.reset();
    device = await acceptReceiver(cloud);
    const again = update(1, str('v2'), { attempt: 2 });
    device.binary(again);
    await expectSilence(device);
    expect(context.signal.aborted).toBe(false);
    release();
    await expectBytes(device, result(1, str('done')));
    const { payload } = await device.frame();
    expect(payload.subarray(0, 13).toString('hex')).toBe('8368056b000361636b61006101');
    expect(calls.size).toBe(0);
  });

  it('keeps what it handles while it is not connected', async () => {
    await connect();
    let release = (): void => undefined;
    handler = () => new Promise<void>((resolve) => (release = resolve));
    device.binary(update(1));
    await calls.next();
    device.reset();
    await log.until('connection_lost');
    release();
    device = await acceptReceiver(cloud, [[0, EPOCH, 1]]);
  });

  it('sends the result of no other message', async () => {
    await connect();
    let release = (): void => undefined;
    handler = () => new Promise((resolve) => (release = () => resolve('of E')));
    device.binary(update(1));
    await calls.next();
    device.reset();
    await log.until('connection_lost');
    release();
    device = await acceptReceiver(cloud, [[0, EPOCH, 1]]);
    handler = () => undefined;
    const other = update(1, str('v2'), { epoch: 'F' });
    device.binary(other);
    await expectBytes(device, handled(1, other));
  });

  it('has one handler for each event, until it is taken out', async () => {
    await connect();
    const remove = client.onDelivery('reboot', () => undefined);
    expect(() => client.onDelivery('reboot', () => undefined)).toThrow('has a handler already');
    expect(() => client.onDelivery('x', 5 as never)).toThrow('handler must be a function');
    remove();
    device.binary(deliver(1, tuple(str('reboot'), int(1))));
    await expectBytes(device, nack(1, 'no_handler', 'no handler takes this event'));
    client.onDelivery('reboot', () => undefined);
    // Of another handler than this one.
    remove();
    const again = deliver(2, tuple(str('reboot'), int(1)), { nacks: 1 });
    device.binary(again);
    await expectBytes(device, handled(2, again));
  });

  it('aborts handlers when it stops, within 1 s, and lets go of the process', async () => {
    await connect();
    const aborted: string[] = [];
    handler = (payload, { signal }) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          aborted.push(String(payload));
          if (payload !== 'deaf') resolve('late');
        });
      });
    device.binary(update(1, str('deaf')));
    device.binary(update(1, str('obeys'), { lane: 1 }));
    await calls.next();
    await calls.next();
    const before = performance.now();
    await client.stop();
    expect(performance.now() - before).toBeLessThan(1_500);
    expect(aborted.sort()).toEqual(['deaf', 'obeys']);
  });
});

/** 257 small messages, or 129 of 1 KiB. */
function many(count: number, bytes: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => update(index + 1, str('x'.repeat(bytes))));
}

describe('what the cloud must not send', () => {
  const malformed = (fields: readonly Buffer[]): Buffer => term(tuple(chars('deliver'), ...fields));
  const head = [int(0), int(1), str('E'), int(1), int(0), int(-1), int(5)];
  const changed = (at: number, field: Buffer): Buffer =>
    malformed(head.map((each, index) => (index === at ? field : each)));

  it.each([
    ['a second resume', [resume()]],
    ['an ack of what was never delivered', [ack(1, 8, 16_384)]],
    ['a nack of what was never delivered', [nack(1, 'failed', '')]],
    ['a result', [result(1, int(1))]],
    ['lane 8', [update(1, str('v2'), { lane: 8 })]],
    ['number 0', [update(0)]],
    ['attempt 0', [update(1, str('v2'), { attempt: 0 })]],
    ['more nacks than there were', [update(1, str('v2'), { nacks: 1 })]],
    ['a first delivery without an epoch', [update(1, str('v2'), { epoch: '' })]],
    ['an epoch that is not printable', [update(1, str('v2'), { epoch: 'a b' })]],
    ['an epoch of 33 bytes', [update(1, str('v2'), { epoch: 'e'.repeat(33) })]],
    ['an age of -2', [update(1, str('v2'), { ageMs: -2 })]],
    ['a lane that is no number', [changed(0, str('0'))]],
    ['a number that is no number', [changed(1, str('1'))]],
    ['an epoch that is a list', [changed(2, list(int(69)))]],
    ['an older number', [update(2, str('slow')), update(1)]],
    ['the number of what runs', [update(1, str('slow')), update(1)]],
    ['more messages than a window may have', [update(1, str('slow')), ...many(257, 1).slice(1)]],
    ['more bytes than a window may have', [update(1, str('slow')), ...many(131, 1_024).slice(1)]],
  ])('closes with 1002 on %s', async (_what, messages) => {
    await connect();
    handler = (payload) => (payload === 'slow' ? new Promise(() => undefined) : undefined);
    for (const bytes of messages) device.binary(bytes);
    await expectClose(device, 1002);
    expect(await log.until('connection_error')).toMatchObject({
      reason: expect.stringMatching(/^the server broke the protocol: .{1,100}$/) as unknown,
    });
  });

  it('closes with 1002 on a delivery before the resume of the cloud', async () => {
    makeClient({ outbox: new MemoryOutboxStore() });
    await client.start();
    device = await acceptDevice(cloud);
    await expectBytes(device, resume());
    device.binary(update(1));
    await expectClose(device, 1002);
    expect(calls.size).toBe(0);
  });

  it.each([
    ['a result', [resume(), result(1, int(1))]],
    ['a result before the resume', [result(1, int(1))]],
    ['an ack before the resume', [ack(1, 8, 16_384)]],
    ['a nack before the resume', [nack(1, 'failed', '')]],
    ['a second resume', [resume(), resume()]],
  ])('closes with 1002 on %s, also with an outbox', async (_what, messages) => {
    makeClient({ outbox: new MemoryOutboxStore() });
    await client.start();
    device = await acceptDevice(cloud);
    await expectBytes(device, resume());
    for (const bytes of messages) device.binary(bytes);
    await expectClose(device, 1002);
  });

  it('closes with 1002 on a delivery of a cloud that has no resume at all', async () => {
    makeClient();
    await client.start();
    device = await acceptDevice(cloud);
    device.binary(update(1));
    await expectClose(device, 1002);
  });

  it('ignores what was under way when it has nacked', async () => {
    await connect();
    handler = () => Promise.reject(new Error('no'));
    device.binary(update(1));
    await expectBytes(device, nack(1, 'failed', 'internal error'));
    device.binary(update(2));
    await expectSilence(device);
    expect(calls.size).toBe(1);
  });

  it('takes all of a window of 256 messages', async () => {
    await connect();
    let release = (): void => undefined;
    handler = (payload) =>
      payload === 'slow' ? new Promise<void>((resolve) => (release = resolve)) : undefined;
    device.binary(update(1, str('slow')));
    for (const bytes of many(256, 1).slice(1)) device.binary(bytes);
    await expectSilence(device);
    release();
    for (let seq = 1; seq <= 256; seq++) {
      const { payload } = await device.frame();
      expect(payload.subarray(0, 13)).toEqual(
        Buffer.concat([Buffer.from('8368056b000361636b6100', 'hex'), int(seq)]).subarray(0, 13),
      );
    }
  });
});

describe('a client with an outbox', () => {
  it('sends one resume for both directions, and delivers in both', async () => {
    makeClient({ outbox: new MemoryOutboxStore() });
    await client.start();
    device = await acceptDevice(cloud);
    await expectBytes(device, resume());
    const { done } = await client.deliver('log', 7);
    device.binary(resume());
    const up = (await device.frame()).payload;
    expect(up.subarray(0, 17).toString('hex')).toBe('8368086b000764656c6976657261006101');
    const down = update(1);
    device.binary(down);
    await expectBytes(device, handled(1, down));
    device.binary(ack(1, 8, 16_384));
    expect(await done).toBe('handled');
  });

  it('resumes a new connection with what it has handled, before the cloud does', async () => {
    makeClient({ outbox: new MemoryOutboxStore() });
    await client.start();
    device = await acceptDevice(cloud);
    await expectBytes(device, resume());
    device.binary(resume());
    const down = update(4);
    device.binary(down);
    await expectBytes(device, handled(4, down));
    device.reset();
    device = await acceptDevice(cloud);
    await expectBytes(device, resume([[0, EPOCH, 4]]));
  });

  it('answers the cloud while its outbox is not open yet, and delivers when it is', async () => {
    const outbox = new MemoryOutboxStore();
    const open = outbox.open.bind(outbox);
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    outbox.open = (listener) => gate.then(() => open(listener));
    makeClient({ outbox });
    const kept = client.deliver('log', 7);
    await client.start();
    device = await acceptDevice(cloud);
    await expectSilence(device);
    device.binary(resume());
    await expectBytes(device, resume());
    const down = update(1);
    device.binary(down);
    await expectBytes(device, handled(1, down));
    release();
    await kept;
    expect((await device.frame()).payload.subarray(0, 13).toString('hex')).toBe('8368086b000764656c69766572');
    device.binary(ack(1, 8, 16_384));
    expect(await (await kept).done).toBe('handled');
  });
});

describe('a client whose token store is a directory', () => {
  let directory: string;
  let file: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'fedecks-positions-'));
    file = join(directory, 'positions');
    await new FileTokenStore(directory, ID).save('t');
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('keeps what it has handled beside the token, before it acknowledges it', async () => {
    await connect({ tokenStore: directory });
    expect(await readdir(directory)).toEqual(['token']);
    handler = () => readdir(directory).then((names) => names.join(' '));
    const bytes = update(5);
    device.binary(bytes);
    await expectBytes(device, result(5, str('token')), handled(5, bytes));
    expect((await readdir(directory)).sort()).toEqual(['positions', 'token']);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await client.stop();
    await connect({ tokenStore: new FileTokenStore(directory, ID) }, [[0, EPOCH, 5]]);
  });

  it('reads the file when it is needed first', async () => {
    await mkdir(file);
    makeClient({ tokenStore: directory });
    await client.start();
    device = await acceptDevice(cloud);
    await expectSilence(device);
    expect((await log.rest()).map(({ type }) => type)).not.toContain('positions_failed');
    device.binary(resume());
    await expectBytes(device, resume());
    expect(await log.until('positions_failed')).toMatchObject({
      reason: expect.stringContaining('cannot be read') as unknown,
    });
  });

  it('uses no positions of another device id, and says so', async () => {
    await connect({ tokenStore: directory });
    const bytes = update(5);
    device.binary(bytes);
    await expectBytes(device, handled(5, bytes));
    await client.stop();
    await new FileTokenStore(directory, 'other').save('t');
    await connect({ tokenStore: directory, deviceId: 'other' });
    expect((await log.until('positions_failed')).reason).toMatch(
      /is that of another device id: .* may be handled again\.$/,
    );
  });

  it('starts without positions when the file is damaged, and says so', async () => {
    await connect({ tokenStore: directory });
    const bytes = update(5);
    device.binary(bytes);
    await expectBytes(device, handled(5, bytes));
    await client.stop();
    await writeFile(file, (await readFile(file, 'latin1')).replace('"seq":5', '"seq":6'));
    await connect({ tokenStore: directory });
    expect((await log.until('positions_failed')).reason).toContain('is damaged');
  });

  it('acknowledges nothing that it cannot keep, and tries again', async () => {
    await connect({ tokenStore: directory });
    await mkdir(join(file, 'in the way'), { recursive: true });
    handler = () => 'done';
    const bytes = update(5);
    device.binary(bytes);
    expect((await log.until('positions_failed')).reason).toMatch(
      /^They cannot be read or written, so nothing is acknowledged/,
    );
    await expectSilence(device);
    // Nor by a resume.
    device.reset();
    device = await acceptReceiver(cloud);
    device.binary(update(5, str('v2'), { attempt: 2 }));
    await expectSilence(device);
    await rm(file, { recursive: true });
    await expectBytes(device, result(5, str('done')));
    expect((await device.frame()).payload.subarray(0, 13).toString('hex')).toBe('8368056b000361636b61006105');
    expect(calls.size).toBe(1);
    await client.stop();
    await connect({ tokenStore: directory }, [[0, EPOCH, 5]]);
  });

  it('keeps what a handler finishes when the client stops', async () => {
    await connect({ tokenStore: directory });
    handler = (_payload, { signal }) =>
      new Promise<void>((resolve) => signal.addEventListener('abort', () => setTimeout(resolve, 100)));
    device.binary(update(5));
    await calls.next();
    await client.stop();
    await connect({ tokenStore: directory }, [[0, EPOCH, 5]]);
  });

  it('writes nothing after it has stopped', async () => {
    await connect({ tokenStore: directory });
    let release = (): void => undefined;
    handler = () => new Promise<void>((resolve) => (release = resolve));
    device.binary(update(5));
    await calls.next();
    await client.stop();
    release();
    await expect(
      eventually(
        () => readdir(directory),
        (names) => names.includes('positions'),
        200,
      ),
    ).rejects.toThrow();
  });
});
