/** Deliveries byte by byte: a raw device with our cloud (PROTOCOL.md §6.4). */
import { OnMessage, Payload } from '@fedecks/nest';
import { BadRequestException, Injectable, ParseIntPipe } from '@nestjs/common';
import { type Cloud, startCloud } from './support/cloud.js';
import { Inbox } from './support/inbox.js';
import { frame, OPCODE } from './support/raw-peer.js';
import {
  ack,
  deliver,
  expectAck,
  expectBinary,
  expectClose,
  nack,
  openDelivering,
  PROTOCOL_2,
  resume,
} from './support/raw-deliveries.js';
import { chars, int, str, strMap, term, tuple } from './support/term-bytes.js';

@Injectable()
class Handlers {
  readonly begun = new Inbox<number>('call of a handler');
  readonly finish: (() => void)[] = [];
  failures = 0;

  @OnMessage('wait')
  wait(@Payload() payload: number) {
    this.begun.put(payload);
    return new Promise<void>((resolve) => this.finish.push(resolve));
  }

  @OnMessage('note')
  note(@Payload() payload: number) {
    this.begun.put(payload);
    return 'this goes nowhere';
  }

  @OnMessage('flaky')
  flaky(@Payload() payload: number) {
    if (this.failures-- > 0) throw new Error('the password is swordfish');
    this.begun.put(payload);
  }

  @OnMessage('number')
  number(@Payload(ParseIntPipe) payload: number) {
    this.begun.put(payload);
  }

  @OnMessage('bad request')
  badRequest() {
    throw new BadRequestException('give a sensor');
  }
}

const event = (name: string, payload: number): Buffer => tuple(str(name), int(payload));
const wait = (payload: number): Buffer => event('wait', payload);
const note = (payload: number): Buffer => event('note', payload);

/** Frames that close a connection that delivers with 1002. */
const BREACHES: readonly [string, Buffer][] = [
  ['a second resume', resume()],
  ['an unknown lane', deliver(1, note(1), { lane: 8 })],
  ['a sequence number of 0', deliver(0, note(1))],
  ['an attempt of 0', deliver(1, note(1), { attempt: 0 })],
  ['an age below -1', deliver(1, note(1), { ageMs: -2 })],
  ['a first delivery without an epoch', deliver(1, note(1), { epoch: '' })],
  ['an epoch that is too long', deliver(1, note(1), { epoch: 'e'.repeat(33) })],
  ['an epoch that is not printable', deliver(1, note(1), { epoch: 'é' })],
  ['more nacks than there were', deliver(1, note(1), { nacks: 1 })],
  ['an ack of what was never delivered', ack(1, 8, 8)],
  ['a nack of what was never delivered', nack(1, 'failed', '')],
  ['a frame that ends within the head', deliver(1, note(1)).subarray(0, 18)],
  [
    'a sequence number that is no integer',
    term(tuple(chars('deliver'), int(0), ...new Array<Buffer>(6).fill(str('1')))),
  ],
];

describe('the cloud', () => {
  let cloud: Cloud;
  let handlers: Handlers;
  let devices = 0;
  let id: string;
  beforeAll(async () => {
    cloud = await startCloud({ messagesPerSecond: 100 }, [Handlers]);
    handlers = cloud.get(Handlers);
  });
  beforeEach(() => {
    cloud.forget();
    handlers.begun.clear();
    handlers.finish.length = 0;
    id = `device-${++devices}`;
  });
  afterAll(() => cloud.close());

  const finish = (): void => handlers.finish.shift()!();

  it('answers a resume with what it has handled, and a small window', async () => {
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(7, note(7)));
    peer.sendBinary(deliver(1, note(8), { lane: 3, epoch: 'F' }));
    await expectBinary(peer, ack(7, 9, 16_384 + deliver(7, note(7)).length));
    await expectAck(peer, 1, 3);
    await openDelivering(cloud, id, [
      [0, 'E', 7],
      [3, 'F', 1],
    ]);
  });

  it('acknowledges when the handler has finished', async () => {
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, wait(1)));
    expect(await handlers.begun.next()).toBe(1);
    peer.write(frame(OPCODE.ping, 'x'));
    expect((await peer.expectFrame()).opcode).toBe(OPCODE.pong);
    finish();
    await expectAck(peer, 1);
  });

  it('handles the deliveries of a lane one after another, in their order', async () => {
    const peer = await openDelivering(cloud, id);
    for (const seq of [1, 2, 5]) peer.sendBinary(deliver(seq, note(seq), { epoch: seq === 1 ? 'E' : '' }));
    for (const seq of [1, 2, 5]) {
      await expectAck(peer, seq);
      expect(await handlers.begun.next()).toBe(seq);
    }
  });

  it('handles a lane while handlers of the other lanes, of a message and of a request run', async () => {
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(term(wait(1)));
    peer.sendBinary(term(tuple(chars('request'), int(1), int(30_000), note(2))));
    for (let lane = 0; lane < 7; lane++) peer.sendBinary(deliver(1, wait(10 + lane), { lane }));
    for (const begun of [1, 10, 11, 12, 13, 14, 15, 16]) expect(await handlers.begun.next()).toBe(begun);
    peer.sendBinary(deliver(1, note(17), { lane: 7 }));
    await expectAck(peer, 1, 7);
    expect(await handlers.begun.next()).toBe(17);
    // What comes in one of those lanes waits for its handler only.
    peer.sendBinary(deliver(2, note(20), { lane: 3, epoch: '' }));
    peer.sendBinary(deliver(2, note(21), { lane: 7, epoch: '' }));
    await expectAck(peer, 2, 7);
    expect(await handlers.begun.next()).toBe(21);
    handlers.finish[4]!();
    await expectAck(peer, 1, 3);
    await expectAck(peer, 2, 3);
    expect(await handlers.begun.next()).toBe(20);
    handlers.finish[0]!();
    expect(await handlers.begun.next()).toBe(2);
  });

  it('handles messages while the handlers of all lanes run', async () => {
    const peer = await openDelivering(cloud, id);
    for (let lane = 0; lane < 8; lane++) peer.sendBinary(deliver(1, wait(lane), { lane }));
    for (let lane = 0; lane < 8; lane++) expect(await handlers.begun.next()).toBe(lane);
    peer.sendBinary(term(event('echo', 9)));
    await expectBinary(peer, term(int(9)));
  });

  it('acknowledges a duplicate, and does not handle it', async () => {
    const peer = await openDelivering(cloud, id);
    for (let times = 0; times < 3; times++) {
      peer.sendBinary(deliver(1, note(1)));
      await expectAck(peer, 1);
    }
    expect(handlers.begun.size).toBe(1);
    peer.sendBinary(deliver(1, note(2), { epoch: 'F' }));
    await expectAck(peer, 1);
    expect(handlers.begun.size).toBe(2);
  });

  it('sends a nack when the handler fails, and handles what is delivered anew', async () => {
    handlers.failures = 1;
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('flaky', 1)));
    peer.sendBinary(deliver(2, note(2)));
    await expectBinary(peer, nack(1, 'failed', 'internal error'));
    await expect(cloud.errors.next()).resolves.toMatchObject({ deviceId: id, type: 'handler_failed' });
    peer.sendBinary(deliver(3, note(3)));
    peer.sendBinary(deliver(1, event('flaky', 1), { attempt: 2, nacks: 1 }));
    await expectAck(peer, 1);
    peer.sendBinary(deliver(2, note(2), { nacks: 1 }));
    await expectAck(peer, 2);
    expect([await handlers.begun.next(), await handlers.begun.next()]).toEqual([1, 2]);
    expect(handlers.begun.size).toBe(0);
  });

  it.each([
    ['a pipe refuses', tuple(str('number'), str('x')), 'refused_by_pipe', /numeric string/],
    ['a handler blames the device for', event('bad request', 0), 'handler_failed', /give a sensor/],
    ['it cannot read', Buffer.from('70', 'hex'), 'unhandled_message', /no safe term/],
  ])('sends a nack with invalid for what %s', async (_what, message, type, text) => {
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, message));
    const { payload } = await peer.expectFrame();
    expect(payload.toString('latin1')).toContain('invalid');
    expect(payload.toString('latin1')).toMatch(text);
    await expect(cloud.errors.next()).resolves.toMatchObject({ deviceId: id, type });
  });

  it('closes with 1002 after a delivery before its own resume', async () => {
    const peer = await cloud.open({ deviceId: id, headers: PROTOCOL_2 });
    peer.sendBinary(deliver(1, note(1)));
    await expectClose(peer, 1002);
    await expect(cloud.errors.next()).resolves.toMatchObject({ deviceId: id, type: 'protocol_error' });
  });

  it.each(BREACHES)('closes with 1002 after %s', async (_what, bytes) => {
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(bytes);
    await expectClose(peer, 1002);
    await expect(cloud.errors.next()).resolves.toMatchObject({ deviceId: id, type: 'protocol_error' });
  });

  it.each([
    ['more than 256 messages', 258, 10],
    ['more than 128 KiB', 10, 20_000],
  ])('closes with 1002 when %s of a lane wait', async (_what, count, bytes) => {
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, wait(1)));
    for (let seq = 2; seq <= count; seq++)
      peer.sendBinary(deliver(seq, strMap({ text: str('x'.repeat(bytes)) }), { epoch: '' }));
    await expectClose(peer, 1002);
    finish();
  });

  it('does not count deliveries as messages per second, and counts what is delivered in vain', async () => {
    const peer = await openDelivering(cloud, id);
    for (let seq = 1; seq <= 200; seq++) peer.sendBinary(deliver(seq, note(seq)));
    for (let seq = 1; seq <= 200; seq++) await expectAck(peer, seq);
    for (let times = 0; times < 200; times++) peer.sendBinary(deliver(1, note(1)));
    let last = await peer.expectFrame();
    while (last.opcode === OPCODE.binary) last = await peer.expectFrame();
    expect(last.payload.readUInt16BE()).toBe(4003);
  });

  it('takes a delivery of a device that speaks protocol 1 for a message', async () => {
    const peer = await cloud.open({ deviceId: id });
    peer.sendBinary(deliver(1, note(1)));
    await expectBinary(peer, term(str('heard')));
  });
});
