/** The bytes of control messages about deliveries (PROTOCOL.md §6.4), and a raw device that delivers. */
import { type Cloud } from './cloud.js';
import { OPCODE, type RawPeer } from './raw-peer.js';
import { chars, int, list, str, term, tuple } from './term-bytes.js';

export const PROTOCOL_2 = { 'x-fedecks-protocol': '2' };

export interface Delivered {
  readonly lane?: number;
  readonly epoch?: string;
  readonly attempt?: number;
  readonly nacks?: number;
  readonly ageMs?: number;
}

export function deliver(seq: number, message: Uint8Array, more: Delivered = {}): Buffer {
  const { lane = 0, epoch = 'E', attempt = 1, nacks = 0, ageMs = -1 } = more;
  const numbers = [attempt, nacks, ageMs].map(int);
  return term(tuple(chars('deliver'), int(lane), int(seq), str(epoch), ...numbers, message));
}

export type Handled = readonly [lane: number, epoch: string, seq: number];

export function resume(handled: readonly Handled[] = [], messages = 8, bytes = 16_384): Buffer {
  const positions = handled.map(([lane, epoch, seq]) => tuple(int(lane), str(epoch), int(seq)));
  const nil = Buffer.from([0x6a]);
  const all = positions.length === 0 ? nil : list(...positions);
  return term(tuple(chars('resume'), all, int(messages), int(bytes)));
}

export function result(seq: number, value: Uint8Array, lane = 0): Buffer {
  return term(tuple(chars('result'), int(lane), int(seq), value));
}

export function ack(seq: number, messages: number, bytes: number, lane = 0): Buffer {
  return term(tuple(chars('ack'), int(lane), int(seq), int(messages), int(bytes)));
}

export function nack(seq: number, code: string, text: string, lane = 0): Buffer {
  return term(tuple(chars('nack'), int(lane), int(seq), str(code), str(text)));
}

export async function expectBinary(peer: RawPeer, bytes: Uint8Array): Promise<void> {
  const frame = await peer.expectFrame();
  expect(frame.opcode).toBe(OPCODE.binary);
  expect(frame.payload.toString('latin1')).toBe(Buffer.from(bytes).toString('latin1'));
}

/** Expects an acknowledgement, whatever it grants. */
export async function expectAck(peer: RawPeer, seq: number, lane = 0): Promise<void> {
  const { payload } = await peer.expectFrame();
  const start = ack(seq, 1, 1, lane).subarray(0, 9 + int(lane).length + int(seq).length);
  expect(payload.subarray(0, start.length).toString('latin1')).toBe(start.toString('latin1'));
}

export async function expectClose(peer: RawPeer, code: number): Promise<void> {
  const frame = await peer.expectFrame();
  expect([frame.opcode, frame.payload.readUInt16BE()]).toEqual([OPCODE.close, code]);
}

/** A device that has sent its resume, and has had that of the cloud. */
export async function openDelivering(
  cloud: Cloud,
  deviceId: string,
  handled: readonly Handled[] = [],
): Promise<RawPeer> {
  const peer = await cloud.open({ deviceId, headers: PROTOCOL_2 });
  peer.sendBinary(resume());
  await expectBinary(peer, resume(handled));
  return peer;
}
