import { jest } from '@jest/globals';
import { Injectable, type Type } from '@nestjs/common';
import { OnConnected, type SocketError } from '@fedecks/nest';
import { type Term, tuple } from '@fedecks/nest/wire';
import { interval, map as mapped } from 'rxjs';
import { type Cloud, startCloud, tokenHeader } from './support/cloud.js';
import { frame, OPCODE, type Frame, type FrameFlaws, type RawPeer } from './support/raw-peer.js';
import {
  atom,
  chars,
  compressedTerm,
  int,
  list,
  longChars,
  map,
  oldAtom,
  str,
  strMap,
  term,
  tuple as pair,
} from './support/term-bytes.js';

const TOKEN_PLEASE = Buffer.from('836b000c746f6b656e5f706c65617365', 'hex');
/** 83 | 68 02: a pair | 6b 00 05: a charlist of five | "token" | 6d: a binary, its length and bytes to follow. */
const TOKEN_MESSAGE = Buffer.from('836802' + '6b0005746f6b656e' + '6d', 'hex');
const HEARD = term(str('heard'));
const RAW = term(str('raw'));
const MAX_FRAME_BYTES = 4_096;

let cloud: Cloud;
let devices = 0;
beforeAll(async () => {
  cloud = await startCloud({ maxFrameBytes: MAX_FRAME_BYTES });
});
beforeEach(() => cloud.forget());
afterAll(() => cloud.close());

/** A unique id, so that no test replaces the connection of another. */
function newId(): string {
  return `device-${++devices}`;
}

async function open(): Promise<RawPeer> {
  return cloud.open({ deviceId: newId() });
}

function echo(payload: Uint8Array): Buffer {
  return term(pair(str('echo'), payload));
}

/** Checks that the next frame is this message, unfragmented and unmasked (RFC 6455 §5.1). */
async function expectMessage(peer: RawPeer, message: Uint8Array, deadlineMs?: number): Promise<Frame> {
  const next = await peer.expectFrame(deadlineMs);
  expect(next).toMatchObject({ opcode: OPCODE.binary, fin: true, rsv: 0, masked: false });
  expect(next.payload.toString('hex')).toBe(Buffer.from(message).toString('hex'));
  return next;
}

let markers = 0;
/** Checks with a marker that nothing else was sent to the device. */
async function expectNothingSent(peer: RawPeer): Promise<void> {
  const marker = str(`marker ${++markers}`);
  peer.sendBinary(echo(marker));
  await expectMessage(peer, term(marker));
}

function closeCode({ payload }: Frame): number {
  return payload.readUInt16BE(0);
}

/** Checks that the server closes with this code, then closes TCP although the peer does not answer (§5.1). */
async function expectClosed(peer: RawPeer, code: number): Promise<Frame> {
  const close = await peer.expectFrame();
  expect(close).toMatchObject({ opcode: OPCODE.close, fin: true, masked: false });
  expect(closeCode(close)).toBe(code);
  const end = await peer.ended();
  expect(end.how).toBe('fin');
  expect(end.at - close.at).toBeLessThan(500);
  return close;
}

/** Waits for an error about this device, in any order with those about others. */
async function expectReported(deviceId: string): Promise<SocketError> {
  let error = await cloud.errors.next();
  while (error.deviceId !== deviceId) error = await cloud.errors.next();
  return error;
}

function tokenIn({ payload }: Frame): string {
  expect(payload.subarray(0, TOKEN_MESSAGE.length).toString('hex')).toBe(TOKEN_MESSAGE.toString('hex'));
  const token = payload.subarray(TOKEN_MESSAGE.length + 4);
  expect(payload.readUInt32BE(TOKEN_MESSAGE.length)).toBe(token.length);
  expect(token.length).toBeGreaterThan(0);
  return token.toString('latin1');
}

describe('token requests', () => {
  it.each<[string, Uint8Array]>([
    ['STRING_EXT, as the Elixir client sends it', TOKEN_PLEASE],
    ['LIST_EXT', term(longChars('token_please'))],
    ['STRING_EXT, compressed', compressedTerm(chars('token_please'))],
    ['LIST_EXT, compressed', compressedTerm(longChars('token_please'))],
    ['STRING_EXT, followed by more bytes', Buffer.concat([TOKEN_PLEASE, Buffer.from('00ff', 'hex')])],
  ])("answers 'token_please' in %s with {'token', Token} (§2.2)", async (_, bytes) => {
    const deviceId = newId();
    const peer = await cloud.open({ deviceId });
    peer.sendBinary(bytes);
    const token = tokenIn(await peer.expectFrame());
    await expectNothingSent(peer);
    expect(cloud.messages.size).toBe(0);

    const again = await cloud.open({ auth: tokenHeader(deviceId, token), deviceId });
    await expectNothingSent(again);
  });

  it.each<[string, Uint8Array, Term]>([
    ['the string "token_please"', term(str('token_please')), 'token_please'],
    ['another charlist', term(chars('token_pleasf')), [...Buffer.from('token_pleasf')]],
    ['a longer charlist', term(chars('token_please!')), [...Buffer.from('token_please!')]],
  ])('treats %s as an application message (§2.2)', async (_, bytes, message) => {
    const peer = await open();
    peer.sendBinary(bytes);
    await expectMessage(peer, HEARD);
    expect(await cloud.messages.next()).toEqual(message);
  });

  it('treats the atom token_please as an application message (§2.2)', async () => {
    const peer = await open();
    peer.sendBinary(term(atom('token_please')));
    await expectMessage(peer, HEARD);
    expect(await cloud.messages.next()).toMatchObject({ name: 'token_please' });
  });

  it('sends a new token unsolicited every tokenRefresh (§2.2)', async () => {
    const refreshing = await startCloud({ tokenRefresh: 200 });
    try {
      const peer = await refreshing.open();
      peer.write(frame(OPCODE.ping));
      expect((await peer.expectFrame()).opcode).toBe(OPCODE.pong);
      tokenIn(await peer.expectFrame());
      const token = tokenIn(await peer.expectFrame());
      await refreshing.open({ auth: tokenHeader('nerves-242a', token) });
    } finally {
      await refreshing.close();
    }
  });
});

describe('a binary frame from a device', () => {
  const claimsOneMore = compressedTerm(str('compressed'));
  claimsOneMore.writeUInt32BE(claimsOneMore.readUInt32BE(2) + 1, 2);

  it.each<[string, Uint8Array, Term]>([
    [
      'a map as Elixir sends it',
      strMap({ t: str('temperature'), v: Buffer.from('464035800000000000', 'hex') }),
      { t: 'temperature', v: 21.5 },
    ],
    ['a pair of strings', pair(str('hello'), str('matey')), tuple('hello', 'matey')],
    ['nil as OTP 25 writes it', oldAtom('nil'), null],
    ['true as OTP 26 writes it', atom('true'), true],
    ['a list of small integers, which is a charlist', chars('\x01\x02\x03'), [1, 2, 3]],
    ['an empty string', str(''), ''],
    ['a negative integer', int(-300), -300],
  ])('with %s reaches the application as that term (§2.1)', async (_, body, message) => {
    const peer = await open();
    peer.sendBinary(term(body));
    await expectMessage(peer, HEARD);
    expect(await cloud.messages.next()).toEqual(message);
  });

  it('ends with its term: bytes after it are ignored (§2.1)', async () => {
    const peer = await open();
    peer.sendBinary(Buffer.concat([term(str('all of it')), Buffer.from('garbage')]));
    await expectMessage(peer, HEARD);
    expect(await cloud.messages.next()).toBe('all of it');
  });

  it.each<[string, string]>([
    ['bytes without the version byte', '68656c6c6f'],
    ['a term without the version byte', '6d0000000161'],
    ['the version byte alone', '83'],
    ['a truncated term', '836d0000000561'],
    ['a length larger than the data', '836cffffffff61016a'],
    ['a tag that does not exist', '83ff'],
    ['a map with a key twice', '8374000000026101610261016103'],
    ['an export of Erlang', '837164000161640001626101'],
    ['a compressed term that claims a wrong size', claimsOneMore.toString('hex')],
    ['nothing at all', ''],
  ])('with %s reaches the application as those bytes, and the reply is a term (§2.3)', async (_, hex) => {
    const peer = await open();
    peer.sendBinary(hex);
    await expectMessage(peer, RAW);
    expect((await cloud.rawMessages.next()).toString('hex')).toBe(hex);
    expect(cloud.messages.size).toBe(0);
  });

  it('may be fragmented, with control frames in between (RFC 6455 §5.4)', async () => {
    const peer = await open();
    const bytes = echo(str('in three pieces'));
    peer.write(frame(OPCODE.binary, bytes.subarray(0, 1), { fin: false }));
    peer.write(frame(OPCODE.ping, 'between'));
    peer.write(frame(OPCODE.continuation, bytes.subarray(1, 9), { fin: false }));
    peer.write(frame(OPCODE.continuation, bytes.subarray(9)));

    expect(await peer.expectFrame()).toMatchObject({ opcode: OPCODE.pong, payload: Buffer.from('between') });
    await expectMessage(peer, term(str('in three pieces')));
  });

  it('may share its TCP segment with others, which are answered in order (§2.1)', async () => {
    const peer = await open();
    const numbers = Array.from({ length: 200 }, (_, number) => number);
    peer.write(Buffer.concat(numbers.map((number) => frame(OPCODE.binary, echo(int(number))))));
    for (const number of numbers) await expectMessage(peer, term(int(number)));
  });

  it('may arrive one byte at a time (§2.1)', async () => {
    const peer = await open();
    for (const byte of frame(OPCODE.binary, echo(str('slowly')))) {
      peer.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expectMessage(peer, term(str('slowly')));
  });
});

describe('a frame of another type from a device', () => {
  it.each(['hello', 'token_please', '', '\u{1f331}'])('is ignored if it is text: %j (§2.4)', async (text) => {
    const peer = await open();
    peer.write(frame(OPCODE.text, text));
    await expectNothingSent(peer);
    expect(cloud.messages.size + cloud.rawMessages.size).toBe(0);
  });

  it('closes with 1007 if it is text that is not UTF-8 (§2.4)', async () => {
    const peer = await open();
    peer.write(frame(OPCODE.text, Buffer.from('cec3ff', 'hex')));
    await expectClosed(peer, 1007);
  });

  it.each<[string, Buffer]>([
    ['a device id', Buffer.from('nerves-242a')],
    ['nothing', Buffer.alloc(0)],
    ['125 bytes of any value', Buffer.from(Array.from({ length: 125 }, (_, index) => index * 2))],
  ])('gets a pong with the same payload if it is a ping with %s (§2.5)', async (_, payload) => {
    const peer = await open();
    peer.write(frame(OPCODE.ping, payload));
    expect(await peer.expectFrame()).toMatchObject({
      opcode: OPCODE.pong,
      fin: true,
      masked: false,
      payload,
    });
  });

  it('is ignored if it is an unsolicited pong (RFC 6455 §5.5.3)', async () => {
    const peer = await open();
    peer.write(frame(OPCODE.pong, 'unasked'));
    await expectNothingSent(peer);
  });
});

describe('frames to the device', () => {
  @Injectable()
  class Welcome {
    @OnConnected()
    welcome(): string {
      return 'welcome';
    }
  }

  let welcoming: Cloud;
  beforeAll(async () => {
    welcoming = await startCloud({}, [Welcome]);
  });
  afterAll(() => welcoming.close());

  it('are held until its first frame arrives (§2.6)', async () => {
    const { peer, response } = await welcoming.ask({ deviceId: newId() });
    expect(response.alone).toBe(true);
    // Two round trips on another connection: a frame would have arrived by now.
    await welcoming.open({ deviceId: newId() });
    expect(peer.reads).toHaveLength(1);

    peer.sendBinary(TOKEN_PLEASE);
    const first = await expectMessage(peer, term(str('welcome')));
    tokenIn(await peer.expectFrame());
    // Released by the frame, not by the one-second timeout.
    expect(first.at - response.at).toBeLessThan(900);
  });

  it('are released by any first frame, even a ping (§2.6)', async () => {
    const { peer, response } = await welcoming.ask({ deviceId: newId() });
    peer.write(frame(OPCODE.ping, 'here'));
    const frames = [await peer.expectFrame(), await peer.expectFrame()];
    expect(new Set(frames.map(({ opcode }) => opcode))).toEqual(new Set([OPCODE.binary, OPCODE.pong]));
    expect(frames[1]!.at - response.at).toBeLessThan(900);
  });

  it('are sent after one second without a first frame (§2.6)', async () => {
    const askedAt = performance.now();
    const { peer } = await welcoming.ask({ deviceId: newId() });
    const first = await expectMessage(peer, term(str('welcome')), 3_000);
    // Timers count whole milliseconds.
    expect(first.at - askedAt).toBeGreaterThan(998);
  });

  it('include pushes held meanwhile, in order (§2.6)', async () => {
    const deviceId = newId();
    const { peer } = await welcoming.ask({ deviceId });
    const pushed = [1, 2, 3].map((number) => welcoming.fedecks.push(deviceId, number));
    peer.sendBinary(TOKEN_PLEASE);
    await expectMessage(peer, term(str('welcome')));
    for (const number of [1, 2, 3]) await expectMessage(peer, term(int(number)));
    expect(await Promise.all(pushed)).toEqual(['sent', 'sent', 'sent']);
  });

  it('are one binary frame with the term for a push (§2.7)', async () => {
    const deviceId = newId();
    const peer = await cloud.open({ deviceId });
    await expectNothingSent(peer);
    expect(await cloud.fedecks.push(deviceId, tuple('hi', { there: true }))).toBe('sent');
    // true, false and nil exist in every Erlang node, which may encode an atom as 77 or 64.
    const { payload } = await peer.expectFrame();
    const expected = (trueAtom: Buffer): Buffer => term(pair(str('hi'), map([str('there'), trueAtom])));
    expect([expected(atom('true')), expected(oldAtom('true'))]).toContainEqual(payload);
  });

  it.each<[string, Term]>([
    ['a pair', tuple([...Buffer.from('token')], 'stolen')],
    ['a pair with anything in second place', tuple([...Buffer.from('token')], { any: 'thing' })],
  ])("never contain %s starting with the charlist 'token': push() rejects (§2.8)", async (_, message) => {
    const deviceId = newId();
    const peer = await cloud.open({ deviceId });
    await expectNothingSent(peer);
    await expect((async () => cloud.fedecks.push(deviceId, message))()).rejects.toThrow(/token/);
    await expectNothingSent(peer);
  });

  it("never contain a reply starting with the charlist 'token', which is reported (§2.8)", async () => {
    const deviceId = newId();
    const peer = await cloud.open({ deviceId });
    peer.sendBinary(term(pair(str('fake token'), int(1))));
    await expectNothingSent(peer);
    await expectReported(deviceId);
  });

  it.each<[string, Term, Buffer]>([
    ['the string "token"', tuple('token', 'mine'), pair(str('token'), str('mine'))],
    [
      'the charlist in a triple',
      tuple([...Buffer.from('token')], 1, 2),
      pair(chars('token'), int(1), int(2)),
    ],
    ['the charlist in a list', [[...Buffer.from('token')], 1], list(chars('token'), int(1))],
    ['another charlist', tuple([...Buffer.from('tokem')], 1), pair(chars('tokem'), int(1))],
  ])('may contain %s, which is not a token (§2.8)', async (_, message, bytes) => {
    const deviceId = newId();
    const peer = await cloud.open({ deviceId });
    await expectNothingSent(peer);
    await cloud.fedecks.push(deviceId, message);
    await expectMessage(peer, term(bytes));
  });
});

describe('the result of a handler', () => {
  it('that throws is reported, and the connection stays open (§2.9)', async () => {
    const deviceId = newId();
    const peer = await cloud.open({ deviceId });
    peer.sendBinary(term(pair(str('boom'), int(1))));
    await expectNothingSent(peer);
    await expectReported(deviceId);
  });

  it('that is not a term is reported, and the connection stays open (§2.9)', async () => {
    const deviceId = newId();
    const peer = await cloud.open({ deviceId });
    peer.sendBinary(term(pair(str('nan'), int(1))));
    await expectNothingSent(peer);
    await expectReported(deviceId);
  });

  it('closes with 1000 if it is stop() (§5.2)', async () => {
    const peer = await open();
    peer.sendBinary(term(pair(str('stop'), int(1))));
    await expectClosed(peer, 1000);
  });

  it('ends message handling if it is stop() (§5.2)', async () => {
    const peer = await open();
    peer.write(
      Buffer.concat([
        frame(OPCODE.binary, term(pair(str('stop'), int(1)))),
        frame(OPCODE.binary, term(str('too late'))),
      ]),
    );
    await expectClosed(peer, 1000);
    expect(cloud.messages.size).toBe(0);
  });
});

describe('a silent connection', () => {
  const IDLE_MS = 400;

  @Injectable()
  class Ticking {
    @OnConnected()
    tick() {
      return interval(IDLE_MS / 4).pipe(mapped((tick) => ['tick', tick]));
    }
  }

  /** The intervals of the cloud, and what they measure, are mocked: the peer in this process would stall with it. */
  async function withTicks(test: (peer: RawPeer) => Promise<void>): Promise<void> {
    jest.useFakeTimers({
      doNotFake: ['setTimeout', 'setImmediate', 'nextTick', 'queueMicrotask', 'Date', 'hrtime'],
    });
    const ticking = await startCloud({ idleTimeoutMs: IDLE_MS }, [Ticking as Type]);
    try {
      const peer = await ticking.open();
      peer.sendBinary(TOKEN_PLEASE);
      tokenIn(await peer.expectFrame());
      await test(peer);
    } finally {
      jest.useRealTimers();
      await ticking.close();
    }
  }

  /** A quarter of the idle timeout passes; resolves when the next tick has arrived, and the cloud has looked. */
  async function passQuarter(peer: RawPeer): Promise<void> {
    jest.advanceTimersByTime(IDLE_MS / 4);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    for (let isTick = false; !isTick;) {
      const { opcode, payload } = await peer.expectFrame();
      expect(opcode).not.toBe(OPCODE.close);
      isTick = opcode === OPCODE.binary && payload.includes('tick');
    }
  }

  it('is closed with 1000 after idleTimeoutMs, although the cloud sends frames (§2.10)', async () => {
    await withTicks(async (peer) => {
      for (let quarter = 1; quarter <= 4; quarter++) await passQuarter(peer);
      await expectClosed(peer, 1000);
    });
  });

  it.each<[string, Buffer]>([
    ['pings', frame(OPCODE.ping, 'nerves-242a')],
    ['pongs', frame(OPCODE.pong)],
    ['text frames', frame(OPCODE.text, 'still here')],
    ['messages', frame(OPCODE.binary, echo(str('still here')))],
  ])('is kept open by %s (§2.10)', async (_, sign) => {
    await withTicks(async (peer) => {
      for (let quarter = 0; quarter < 12; quarter++) {
        await passQuarter(peer);
        peer.write(sign);
      }
      await passQuarter(peer);
    });
  });
});

describe('a frame over maxFrameBytes', () => {
  it('closes with 1009 (§5.2)', async () => {
    const peer = await open();
    peer.sendBinary(Buffer.alloc(MAX_FRAME_BYTES + 1));
    await expectClosed(peer, 1009);
  });

  it('closes on its header, before the payload arrives (§5.2)', async () => {
    for (const claimedBytes of [MAX_FRAME_BYTES + 1, 2 ** 32, 2 ** 52]) {
      const peer = await open();
      peer.write(frame(OPCODE.binary, '', { claimedBytes }));
      await expectClosed(peer, 1009);
    }
  });

  it('closes when it is fragmented (§5.2)', async () => {
    const peer = await open();
    peer.write(frame(OPCODE.binary, Buffer.alloc(MAX_FRAME_BYTES), { fin: false }));
    peer.write(frame(OPCODE.continuation, 'x', { fin: false }));
    await expectClosed(peer, 1009);
  });

  it('is one byte over the limit: a frame of exactly maxFrameBytes is accepted (§5.2)', async () => {
    const peer = await open();
    const bytes = Buffer.alloc(MAX_FRAME_BYTES, 'x');
    peer.sendBinary(bytes);
    await expectMessage(peer, RAW);
    expect(await cloud.rawMessages.next()).toEqual(bytes);
  });

  it('is a raw message when a compressed term inflates to more (§2.3)', async () => {
    const peer = await open();
    const bomb = compressedTerm(str(Buffer.alloc(1_000_000)));
    peer.sendBinary(bomb);
    await expectMessage(peer, RAW);
    expect(await cloud.rawMessages.next()).toEqual(bomb);
  });
});

describe('a device that violates RFC 6455', () => {
  const flawed = (opcode: number, payload: string, flaws: FrameFlaws): Buffer =>
    frame(opcode, payload, flaws);
  it.each<[string, Buffer]>([
    ['garbage', Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n')],
    ['an unmasked frame', flawed(OPCODE.binary, 'hello', { masked: false })],
    ['an unmasked ping', flawed(OPCODE.ping, '', { masked: false })],
    ['the first reserved bit', flawed(OPCODE.binary, 'hello', { rsv: 4 })],
    ['the second reserved bit', flawed(OPCODE.binary, 'hello', { rsv: 2 })],
    ['the third reserved bit', flawed(OPCODE.ping, '', { rsv: 1 })],
    ['a reserved opcode', frame(3, 'hello')],
    ['a reserved control opcode', frame(11)],
    ['a ping of 126 bytes', frame(OPCODE.ping, Buffer.alloc(126))],
    ['a ping in fragments', flawed(OPCODE.ping, 'hello', { fin: false })],
    ['a continuation of nothing', frame(OPCODE.continuation, 'hello')],
    [
      'a new message inside another',
      Buffer.concat([flawed(OPCODE.binary, 'one', { fin: false }), frame(OPCODE.binary, 'two')]),
    ],
    ['a close frame of one byte', frame(OPCODE.close, 'x')],
    ['a close code nobody may send', frame(OPCODE.close, Buffer.from('03ed', 'hex'))],
  ])('is closed with 1002 after %s, while others are served (§5.2)', async (_, bytes) => {
    const bystander = await open();
    const peer = await open();
    peer.write(bytes);
    await expectClosed(peer, 1002);
    await expectNothingSent(bystander);
    await expectNothingSent(await open());
  });

  it('has no frames handled after the violation (§5.2)', async () => {
    const peer = await open();
    peer.write(Buffer.concat([frame(3), frame(OPCODE.binary, term(str('too late')))]));
    await expectClosed(peer, 1002);
    expect(cloud.messages.size).toBe(0);
  });

  it('blocks no other device with half a frame', async () => {
    const slow = await open();
    const bytes = frame(OPCODE.binary, echo(str('at last')));
    slow.write(bytes.subarray(0, 9));
    await expectNothingSent(await open());
    slow.write(bytes.subarray(9));
    await expectMessage(slow, term(str('at last')));
  });
});

describe('the end of a connection', () => {
  async function gone(deviceId: string): Promise<void> {
    let ended = await cloud.disconnected.next();
    while (ended !== deviceId) ended = await cloud.disconnected.next();
    expect(cloud.fedecks.devices().map(({ id }) => id)).not.toContain(deviceId);
  }

  it("by the device's close frame: the server answers it and closes TCP (§5.1)", async () => {
    const deviceId = newId();
    const peer = await cloud.open({ deviceId });
    peer.write(frame(OPCODE.close, Buffer.from('03e8', 'hex')));
    await expectClosed(peer, 1000);
    await gone(deviceId);
  });

  it.each<[string, (peer: RawPeer) => void]>([
    ['ends TCP without a close frame', (peer) => peer.end()],
    ['breaks TCP with an RST', (peer) => peer.reset()],
  ])('when the device %s (§5.1)', async (_, leave) => {
    const deviceId = newId();
    const peer = await cloud.open({ deviceId });
    await expectNothingSent(peer);
    leave(peer);
    await gone(deviceId);
  });

  it('with 4152 when the same device connects again; the newer connection stays (§5.3)', async () => {
    const deviceId = newId();
    const older = await cloud.open({ deviceId });
    await expectNothingSent(older);
    const newer = await cloud.open({ deviceId });

    const close = await expectClosed(older, 4152);
    expect(close.payload.toString('utf8', 2)).toBe('replaced');
    await expectNothingSent(newer);
    expect(await cloud.fedecks.push(deviceId, 1)).toBe('sent');
    await expectMessage(newer, term(int(1)));
  });

  it('with 4150 when the device is revoked; its token is rejected (§5.3)', async () => {
    const deviceId = newId();
    const peer = await cloud.open({ deviceId });
    peer.sendBinary(TOKEN_PLEASE);
    const token = tokenIn(await peer.expectFrame());

    await cloud.fedecks.revoke(deviceId);

    await expectClosed(peer, 4150);
    const { response } = await cloud.ask({ auth: tokenHeader(deviceId, token) });
    expect(response.statusLine).toBe('HTTP/1.1 403 Forbidden');
    expect(await expectReported(deviceId)).toMatchObject({ type: 'invalid_token' });
  });

  it('with 4003 when the device exceeds messagesPerSecond; excess messages are dropped (§5.3)', async () => {
    const limited = await startCloud({ messagesPerSecond: 10 });
    // The second does not end while they are sent.
    const clock = jest.spyOn(performance, 'now').mockReturnValue(performance.now());
    try {
      const peer = await limited.open();
      peer.write(Buffer.concat(Array.from({ length: 11 }, () => frame(OPCODE.binary, term(str('again'))))));
      for (let answered = 0; answered < 10; answered++) await expectMessage(peer, HEARD);
      await expectClosed(peer, 4003);
      expect(limited.messages.size).toBe(10);
    } finally {
      clock.mockRestore();
      await limited.close();
    }
  });

  it('with 1000 when the application disconnects the device (§5.2)', async () => {
    const deviceId = newId();
    const peer = await cloud.open({ deviceId });
    await expectNothingSent(peer);
    await cloud.fedecks.disconnect(deviceId);
    await expectClosed(peer, 1000);
  });

  it('with 4000 when the cloud shuts down, although the device does not answer (§5.3)', async () => {
    const draining = await startCloud();
    try {
      const peer = await draining.open();
      peer.sendBinary(TOKEN_PLEASE);
      tokenIn(await peer.expectFrame());
      const closed = expectClosed(peer, 4000);
      await Promise.all([draining.shutDown(), closed]);
    } finally {
      await draining.close();
    }
  });
});
