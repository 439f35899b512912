/** Requests byte by byte: a raw device with our cloud, and our client with a raw cloud (PROTOCOL.md §6). */
import { AbortSignal as Signal, Fedecks, OnMessage, Payload } from '@fedecks/nest';
import { FedecksClient, MemoryTokenStore, NotSupportedError } from '@fedecks/nest/client';
import { type Term } from '@fedecks/nest/wire';
import { BadRequestException, Injectable } from '@nestjs/common';
import { from, Observable } from 'rxjs';
import { type Cloud, startCloud } from './support/cloud.js';
import { Inbox } from './support/inbox.js';
import { type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';
import { frame, OPCODE, type RawPeer } from './support/raw-peer.js';
import { chars, int, longChars, str, term, tuple } from './support/term-bytes.js';

const PROTOCOL_2 = { 'x-fedecks-protocol': '2' };

const request = (id: number, remainingMs: number, message: Uint8Array): Buffer =>
  term(tuple(chars('request'), int(id), int(remainingMs), message));
const reply = (id: number, value: Uint8Array): Buffer => term(tuple(chars('reply'), int(id), value));
const next = (id: number, value: Uint8Array): Buffer => term(tuple(chars('next'), int(id), value));
const complete = (id: number): Buffer => term(tuple(chars('complete'), int(id)));
const error = (id: number, code: string, text: string): Buffer =>
  term(tuple(chars('error'), int(id), str(code), str(text)));
const cancel = (id: number): Buffer => term(tuple(chars('cancel'), int(id)));
const echo = (payload: Uint8Array): Buffer => tuple(str('echo'), payload);

/** Frames that close the connection with 1002. */
const BREACHES: readonly [string, Buffer][] = [
  ['a reply to a request that was never sent', reply(7, int(1))],
  ['an error for one', error(7, 'failed', '')],
  ['an id that is no integer', term(tuple(chars('request'), str('one'), int(1_000), echo(int(1))))],
  ['an id of 0', request(0, 1_000, echo(int(1)))],
  ['a time below -1', request(1, -2, echo(int(1)))],
  ['a frame that ends within the id', request(1, 1_000, echo(int(1))).subarray(0, 14)],
  ['an error with an unknown code', error(1, 'strange', '')],
  ['an error whose text is an integer', term(tuple(chars('error'), int(1), str('failed'), int(1)))],
  ['a cancel without an id', Buffer.concat([term(tuple(chars('cancel'), int(1))).subarray(0, 13)])],
];

/** Frames that are messages of the application. */
const MESSAGES: readonly [string, Buffer][] = [
  ['a name that is a string', term(tuple(str('request'), int(1), int(1_000), echo(int(1))))],
  ['a name in another spelling', term(tuple(longChars('request'), int(1), int(1_000), echo(int(1))))],
  ['too few elements', term(tuple(chars('request'), int(1), int(1_000)))],
  ['too many elements', term(tuple(chars('reply'), int(1), int(1), int(1)))],
  ['an unknown name', term(tuple(chars('replies'), int(1), int(1)))],
];

describe('the cloud', () => {
  @Injectable()
  class Handlers {
    readonly happened = new Inbox<string>('call of a handler');

    @OnMessage('hang')
    hang(@Signal() signal: AbortSignal) {
      this.happened.put('begun');
      return new Promise<string>((resolve) =>
        signal.addEventListener('abort', () => {
          this.happened.put('aborted');
          resolve('too late');
        }),
      );
    }

    @OnMessage('stream')
    stream() {
      return from([1, 2]);
    }

    @OnMessage('follow')
    follow() {
      this.happened.put('followed');
      return new Observable<never>(() => () => this.happened.put('unfollowed'));
    }

    @OnMessage('unreadable')
    unreadable(@Payload() what: string) {
      const unreadable = (): never => {
        throw new Error('unreadable');
      };
      if (what === 'message')
        throw Object.defineProperty(new BadRequestException(), 'message', { get: unreadable });
      throw new Proxy(new Error(what), { get: unreadable, getPrototypeOf: unreadable });
    }
  }

  let cloud: Cloud;
  let happened: Inbox<string>;
  let devices = 0;
  let id: string;
  beforeAll(async () => {
    cloud = await startCloud({ mailboxLimit: 100 }, [Handlers]);
    happened = cloud.get(Handlers).happened;
  });
  beforeEach(() => {
    cloud.forget();
    id = `device-${++devices}`;
  });
  afterAll(() => cloud.close());

  async function open(headers: Record<string, string> = PROTOCOL_2): Promise<RawPeer> {
    return cloud.open({ deviceId: id, headers });
  }

  async function expectBinary(peer: RawPeer, bytes: Uint8Array): Promise<void> {
    const frame = await peer.expectFrame();
    expect(frame.opcode).toBe(OPCODE.binary);
    expect(frame.payload.toString('hex')).toBe(Buffer.from(bytes).toString('hex'));
  }

  it('names protocol 2 to a device that has named it (§6.1)', async () => {
    const { response } = await cloud.ask({ deviceId: id, headers: PROTOCOL_2 });
    expect(response.headers.get('x-fedecks-protocol')).toBe('2');
  });

  it('names protocol 2 to a device of a later one', async () => {
    const { response } = await cloud.ask({ deviceId: id, headers: { 'x-fedecks-protocol': '13' } });
    expect(response.headers.get('x-fedecks-protocol')).toBe('2');
  });

  it.each([undefined, '1', '', 'two', '2.0', '-2', '02', '20000'])(
    'answers a device with the header %j as one of protocol 1',
    async (value) => {
      const { peer, response } = await cloud.ask({
        deviceId: id,
        headers: { 'x-fedecks-protocol': value },
      });
      expect([...response.headers.keys()]).toEqual(['upgrade', 'connection', 'sec-websocket-accept']);
      peer.sendBinary(request(1, 1_000, echo(int(1))));
      await expectBinary(peer, term(str('heard')));
      await cloud.messages.next();
    },
  );

  it('replies to a request with what its handler returns (§6.3)', async () => {
    const peer = await open();
    peer.sendBinary(request(1, 30_000, echo(int(5))));
    await expectBinary(peer, reply(1, int(5)));
    peer.sendBinary(request(2_147_483_647, -1, echo(str('x'))));
    await expectBinary(peer, reply(2_147_483_647, str('x')));
  });

  it('sends the values of a stream, and its end', async () => {
    const peer = await open();
    peer.sendBinary(request(1, 30_000, tuple(str('stream'), int(0))));
    await expectBinary(peer, next(1, int(1)));
    await expectBinary(peer, next(1, int(2)));
    await expectBinary(peer, complete(1));
  });

  it('answers an error that the handler throws, a result that is no term, and a message it cannot read', async () => {
    const peer = await open();
    peer.sendBinary(request(1, 30_000, tuple(str('boom'), int(0))));
    await expectBinary(peer, error(1, 'failed', 'internal error'));
    peer.sendBinary(request(2, 30_000, tuple(str('nan'), int(0))));
    await expectBinary(peer, error(2, 'failed', 'internal error'));
    peer.sendBinary(request(3, 30_000, Buffer.from('70', 'hex')));
    await expectBinary(peer, error(3, 'invalid', 'it is no safe term, or too large a one'));
  });

  it.each(['message', 'anything'])(
    'answers an error of the handler whose %s cannot be read, and handles the next request',
    async (what) => {
      const peer = await open();
      peer.sendBinary(request(1, 30_000, tuple(str('unreadable'), str(what))));
      const code = what === 'message' ? 'invalid' : 'failed';
      await expectBinary(peer, error(1, code, what === 'message' ? '' : 'internal error'));
      peer.sendBinary(request(2, 30_000, echo(int(5))));
      await expectBinary(peer, reply(2, int(5)));
    },
  );

  it('does not begin a request that it reads after the end of its connection', async () => {
    const peer = await open();
    // One write, so that all of it is read when the first handler begins. The mailbox takes 100 messages.
    const messages = [
      request(1, 30_000, tuple(str('hang'), int(0))),
      ...Array.from({ length: 150 }, () => term(str('a message'))),
      request(2, -1, tuple(str('follow'), int(0))),
      term(str('the last one')),
    ];
    peer.write(Buffer.concat(messages.map((each) => frame(OPCODE.binary, each))));
    expect(await happened.next()).toBe('begun');
    await cloud.get(Fedecks).disconnect(id);
    expect(await happened.next()).toBe('aborted');
    await cloud.disconnected.next();
    expect(happened.size).toBe(0);
  });

  it('begins once what has the id of a request that was cancelled while it waited', async () => {
    const peer = await open();
    peer.sendBinary(request(1, 30_000, tuple(str('hang'), int(0))));
    expect(await happened.next()).toBe('begun');
    const follow = request(2, -1, tuple(str('follow'), int(0)));
    for (const bytes of [follow, cancel(2), follow, cancel(1)]) peer.sendBinary(bytes);
    expect(await happened.next()).toBe('aborted');
    expect(await happened.next()).toBe('followed');
    peer.sendBinary(request(3, 30_000, echo(int(5))));
    await expectBinary(peer, reply(3, int(5)));
    peer.destroy();
    expect(await happened.next()).toBe('unfollowed');
    expect(happened.size).toBe(0);
  });

  it('handles requests in their turn among messages', async () => {
    const peer = await open();
    peer.sendBinary(request(1, 100, tuple(str('hang'), int(0))));
    peer.sendBinary(term(str('a message')));
    peer.sendBinary(request(2, 50, echo(int(1))));
    peer.sendBinary(request(3, 30_000, echo(int(1))));
    await expectBinary(peer, term(str('heard')));
    await expectBinary(peer, error(2, 'expired', 'its time had passed before a handler was free'));
    await expectBinary(peer, reply(3, int(1)));
    expect(await happened.next()).toBe('begun');
    expect(await happened.next()).toBe('aborted');
  });

  it('cancels a request that runs, and one that waits', async () => {
    const peer = await open();
    peer.sendBinary(request(1, 30_000, tuple(str('hang'), int(0))));
    peer.sendBinary(request(2, 30_000, echo(int(2))));
    peer.sendBinary(request(3, 30_000, echo(int(3))));
    expect(await happened.next()).toBe('begun');
    peer.sendBinary(cancel(2));
    peer.sendBinary(cancel(1));
    expect(await happened.next()).toBe('aborted');
    await expectBinary(peer, reply(3, int(3)));
  });

  it('answers busy when 64 requests are open', async () => {
    const peer = await open();
    for (let each = 1; each <= 65; each++) peer.sendBinary(request(each, 30_000, tuple(str('hang'), int(0))));
    await expectBinary(peer, error(65, 'busy', '64 requests are open on this connection'));
    for (let each = 1; each <= 64; each++) peer.sendBinary(cancel(each));
    peer.sendBinary(request(66, 30_000, echo(int(1))));
    await expectBinary(peer, reply(66, int(1)));
    happened.clear();
  });

  it.each([...BREACHES, ['an id that is in use', Buffer.alloc(0)] as const])(
    'closes with 1002 after %s (§6.2)',
    async (_what, bytes) => {
      const peer = await open();
      if (bytes.length > 0) peer.sendBinary(bytes);
      else {
        peer.sendBinary(request(1, 30_000, tuple(str('hang'), int(0))));
        peer.sendBinary(request(1, 30_000, tuple(str('hang'), int(0))));
      }
      const frame = await peer.expectFrame();
      expect([frame.opcode, frame.payload.readUInt16BE()]).toEqual([OPCODE.close, 1002]);
      await expect(cloud.errors.next()).resolves.toMatchObject({ deviceId: id, type: 'protocol_error' });
    },
  );

  it.each(MESSAGES)('takes a tuple with %s for a message', async (_what, bytes) => {
    const peer = await open();
    peer.sendBinary(bytes);
    await expectBinary(peer, term(str('heard')));
    await cloud.messages.next();
  });

  it('asks a device, and takes its answer in whatever order', async () => {
    const peer = await open();
    const one = cloud.fedecks.request(id, 'read', 3, { timeoutMs: 30_000 });
    const two = cloud.fedecks.request(id, 'read', 4, { timeoutMs: 1_000 });
    peer.sendBinary(term(str('a message')));
    await expectBinary(peer, request(1, 30_000, tuple(str('read'), int(3))));
    await expectBinary(peer, request(2, 1_000, tuple(str('read'), int(4))));
    peer.sendBinary(reply(2, int(40)));
    peer.sendBinary(next(1, int(10)));
    peer.sendBinary(next(1, int(20)));
    peer.sendBinary(complete(1));
    await expect(Promise.all([one, two])).resolves.toEqual([20, 40]);
  });

  it('ignores an answer that comes too late, and rejects after one that it cannot read', async () => {
    const peer = await open();
    const late = cloud.fedecks.request(id, 'read', 1, { timeoutMs: 20 });
    await expect(late).rejects.toMatchObject({ code: 'timeout' });
    peer.sendBinary(reply(1, int(1)));
    const other = cloud.fedecks.request(id, 'read', 2);
    peer.sendBinary(reply(2, Buffer.from('70', 'hex')));
    await expect(other).rejects.toMatchObject({ code: 'failed' });
    const refused = cloud.fedecks.request(id, 'read', 3);
    peer.sendBinary(error(3, 'no_handler', 'x'.repeat(2_000)));
    await expect(refused).rejects.toMatchObject({ code: 'no_handler', text: 'x'.repeat(1_000) });
  });

  it('reads an answer behind more messages than its mailbox holds', async () => {
    const peer = await open();
    const answered = new Inbox<Term>('answer');
    peer.sendBinary(request(1, 30_000, tuple(str('hang'), int(0))));
    expect(await happened.next()).toBe('begun');
    void cloud.fedecks.request(id, 'read', 1).then((value) => answered.put(value));
    for (let each = 0; each < 150; each++) peer.sendBinary(term(str('a message')));
    peer.sendBinary(reply(1, int(7)));
    expect(await answered.next()).toBe(7);
    peer.sendBinary(cancel(1));
    expect(await happened.next()).toBe('aborted');
  });
});

describe('the client', () => {
  let cloud: PhoenixPeer;
  let client: FedecksClient;
  beforeEach(async () => {
    cloud = await PhoenixPeer.listen();
    client = new FedecksClient({
      url: cloud.url,
      deviceId: 'nerves-242a',
      tokenStore: new MemoryTokenStore('stored-token'),
      startDelayMs: 0,
      closeTimeoutMs: 50,
    });
  });
  afterEach(async () => {
    await client.stop();
    await cloud.close();
  });

  /** A connection after the frame that asks for a token. */
  async function connected(headers = 'x-fedecks-protocol: 2\r\n'): Promise<PeerConnection> {
    await client.start();
    const device = await cloud.accept();
    device.upgrade(undefined, headers);
    await device.frame();
    return device;
  }

  async function expectBinary(device: PeerConnection, bytes: Uint8Array): Promise<void> {
    expect((await device.frame()).payload.toString('hex')).toBe(Buffer.from(bytes).toString('hex'));
  }

  it('names protocol 2 in its request (§6.1)', async () => {
    const device = await connected();
    expect(device.request.headers['x-fedecks-protocol']).toBe('2');
  });

  it.each(['', 'x-fedecks-protocol: 1\r\n', 'x-fedecks-protocol: two\r\n'])(
    'speaks protocol 1 after an answer with the header %j',
    async (headers) => {
      const messages = new Inbox<Term>('message');
      client.messages$.subscribe((message) => messages.put(message));
      const device = await connected(headers);
      await expect(client.request('read', 1)).rejects.toBeInstanceOf(NotSupportedError);
      device.binary(request(1, 1_000, echo(int(1))));
      expect(await messages.next()).toHaveLength(4);
    },
  );

  it('asks, and takes the answer (§6.3)', async () => {
    const device = await connected();
    const asked = client.request('config', 7, { timeoutMs: 2_000 });
    await expectBinary(device, request(1, 2_000, tuple(str('config'), int(7))));
    device.binary(reply(1, str('fine')));
    await expect(asked).resolves.toBe('fine');
  });

  it('cancels a stream that is unsubscribed', async () => {
    const device = await connected();
    const values = new Inbox<Term>('value');
    const subscription = client.stream('logs', 1).subscribe((value) => values.put(value));
    await expectBinary(device, request(1, -1, tuple(str('logs'), int(1))));
    device.binary(next(1, int(1)));
    expect(await values.next()).toBe(1);
    subscription.unsubscribe();
    await expectBinary(device, cancel(1));
  });

  it('answers', async () => {
    client.onRequest('echo', (payload) => payload);
    client.onRequest('stream', () => from([1, 2]));
    const device = await connected();
    device.binary(request(1, 1_000, echo(int(5))));
    await expectBinary(device, reply(1, int(5)));
    device.binary(request(2, 1_000, tuple(str('stream'), int(5))));
    for (const bytes of [next(2, int(1)), next(2, int(2)), complete(2)]) await expectBinary(device, bytes);
    device.binary(request(3, 1_000, tuple(str('unknown'), int(5))));
    await expectBinary(device, error(3, 'no_handler', 'no handler takes this event'));
  });

  it.each(BREACHES)('closes with 1002 after %s (§6.2)', async (_what, bytes) => {
    const device = await connected();
    device.binary(bytes);
    const frame = await device.frame();
    expect([frame.opcode, frame.payload.readUInt16BE()]).toEqual([OPCODE.close, 1002]);
  });

  it('takes nothing of a cloud that has broken the protocol, and reports it once', async () => {
    const happened = new Inbox<unknown>('event');
    client.onRequest('echo', (payload) => happened.put(payload));
    client.messages$.subscribe((message) => happened.put(message));
    const device = await connected();
    client.events$.subscribe(({ type }) => happened.put(type));
    const breach = reply(7, int(1));
    for (const bytes of [breach, breach, request(1, 1_000, echo(int(5))), term(str('a message'))])
      device.binary(bytes);
    expect(await happened.next()).toBe('connection_error');
    expect(await happened.next()).toBe('connection_lost');
  });

  it('ends a connection whose cloud asks on, and reads no answer', async () => {
    const reasons = new Inbox<string>('error of the connection');
    client.events$.subscribe((event) => event.type === 'connection_error' && reasons.put(event.reason));
    const device = await connected();
    device.stopReading();
    const unknown = tuple(str('unknown'), int(0));
    for (let id = 1; reasons.size === 0 && id < 1_000_000;) {
      for (let each = 0; each < 1_000; each++) device.binary(request(id++, 1_000, unknown));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(await reasons.next(0)).toContain('it sends requests, and does not read the answers');
  });

  it.each<[string, () => unknown, string]>([
    [
      'a controller for a signal',
      () => client.request('read', 1, { signal: new AbortController() as never }),
      'must be an AbortSignal',
    ],
    [
      'a misspelt option',
      () => client.request('read', 1, { timeout: 5_000 } as never),
      "option 'timeout' does not exist (have: timeoutMs, signal)",
    ],
    ['a number for options', () => client.request('read', 1, 5_000 as never), 'must be an object'],
    [
      'no event',
      async () => client.onRequest(undefined as never, () => 1),
      'name of the event must be a string',
    ],
  ])('says what is wrong with %s', async (_what, call, message) => {
    await expect(call()).rejects.toThrow(message);
  });

  it.each(MESSAGES)('takes a tuple with %s for a message', async (_what, bytes) => {
    const messages = new Inbox<Term>('message');
    client.messages$.subscribe((message) => messages.put(message));
    const device = await connected();
    device.binary(bytes);
    await messages.next();
  });
});
