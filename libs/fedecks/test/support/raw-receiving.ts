/** A raw device that takes deliveries of our cloud (PROTOCOL.md §6.4). */
import { type RawPeer } from './raw-peer.js';
import { chars, int, term, tuple } from './term-bytes.js';

export interface Received {
  readonly lane: number;
  readonly seq: number;
  readonly epoch: string;
  readonly attempt: number;
  readonly nacks: number;
  readonly ageMs: number;
  /** With its version byte. */
  readonly message: Buffer;
}

/** Integers of the three tags that a head may have: SMALL_INTEGER, INTEGER, SMALL_BIG. */
export function integer(value: number): Buffer {
  if (value < 2 ** 31) return int(value);
  const bytes: number[] = [];
  for (let left = value; left > 0; left = Math.floor(left / 256)) bytes.push(left % 256);
  return Buffer.from([0x6e, bytes.length, 0, ...bytes]);
}

/** Reads a `deliver` by hand. */
export async function expectDelivery(peer: RawPeer): Promise<Received> {
  const { payload } = await peer.expectFrame();
  const head = term(tuple(chars('deliver'))).fill(8, 2, 3);
  expect(payload.subarray(0, head.length).toString('latin1')).toBe(head.toString('latin1'));
  let at = head.length;
  const number = (): number => {
    const tag = payload[at]!;
    if (tag === 0x61) return payload.readUInt8((at += 2) - 1);
    if (tag === 0x62) return payload.readInt32BE((at += 5) - 4);
    expect(tag).toBe(0x6e);
    const length = payload[at + 1]!;
    const value = payload.readUIntLE(at + 3, length);
    at += 3 + length;
    return value;
  };
  const [lane, seq] = [number(), number()];
  expect(payload[at]).toBe(0x6d);
  const end = at + 5 + payload.readUInt32BE(at + 1);
  const epoch = payload.toString('latin1', at + 5, end);
  at = end;
  const [attempt, nacks, ageMs] = [number(), number(), number()];
  const message = Buffer.concat([Buffer.from([0x83]), payload.subarray(at)]);
  return { lane, seq, epoch, attempt, nacks, ageMs, message };
}

export function ackOf({ lane, seq }: Received): Buffer {
  return term(tuple(chars('ack'), int(lane), integer(seq), int(8), int(16_384)));
}

export function resultOf({ lane, seq }: Received, value: Buffer): Buffer {
  return term(tuple(chars('result'), int(lane), integer(seq), value));
}
