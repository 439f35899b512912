/**
 * Random streams of a websocket client, and positions to split them at. Most frames are valid; some break a rule, and some
 * streams contain, or consist of, random bytes.
 */
import { seeded } from './seeded.js';

type Random = () => number;

// Looking up a global is slow in a test environment.
const { floor } = Math;
const NOISE = makeNoise(seeded(1), 300_000);

export interface Stream {
  readonly bytes: Buffer;
  readonly maxMessageBytes: number;
}

const MAX_FRAGMENTS = 16_384;
const EDGES = [
  0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 124, 125, 126, 127, 128, 129, 255, 256, 4_095, 65_535, 65_536,
];
const CLOSE_CODES = [
  0, 999, 1000, 1003, 1004, 1005, 1006, 1007, 1011, 1014, 1015, 2999, 3000, 4999, 5000, 65_535,
];
const TEXTS = ['', 'hello', 'κόσμε', '\u{10ffff}\u{0}', '日本語 🦊'.repeat(20), 'a'.repeat(300)].map((text) =>
  Buffer.from(text),
);
const INVALID_TEXTS = ['80', 'c0af', 'eda080', 'f4908080', 'f8888080', 'ceba', 'e4bd', 'f0908d'].map((hex) =>
  Buffer.from(`61${hex}`, 'hex'),
);

export function makeStream(random: Random): Stream {
  const maxMessageBytes = pick(random, [100, 1_000, 70_000, 300_000]);
  const kind = random();
  if (kind < 0.001) return { bytes: manyFragments(random), maxMessageBytes };
  if (kind < 0.02) return { bytes: noise(random, upTo(random, 200)), maxMessageBytes };
  const bytes = Buffer.concat(frames(random));
  if (kind < 0.1) for (let flips = 1 + upTo(random, 3); flips > 0; flips--) flip(random, bytes);
  return { bytes, maxMessageBytes };
}

/** Where the chunks of a stream end: nowhere, everywhere, or at random places. */
export function cut(random: Random, { bytes }: Stream): readonly Buffer[] {
  const kind = random();
  if (kind < 0.15) return [bytes];
  const most = kind < 0.3 && bytes.length < 2_000 ? 1 : kind < 0.6 ? 20 : Math.max(1, bytes.length);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + upTo(random, most);
    chunks.push(bytes.subarray(at, end));
    at = end;
    if (chunks.length === 3_000) {
      chunks.push(bytes.subarray(at));
      break;
    }
  }
  return chunks;
}

function frames(random: Random): Buffer[] {
  const made: Buffer[] = [];
  let open: { rest: Buffer } | undefined;
  for (let count = 1 + upTo(random, 9); count > 0; count--) {
    if (random() < 0.04) {
      made.push(brokenFrame(random, open !== undefined));
      continue;
    }
    if (random() < 0.2) {
      made.push(frame(random, 0x80 | (random() < 0.5 ? 9 : 10), noise(random, upTo(random, 126))));
      continue;
    }
    if (random() < 0.03) made.push(frame(random, 0x88, closePayload(random)));
    const isText = random() < 0.3;
    const payload: Buffer = open ? open.rest : isText ? text(random) : noise(random, size(random));
    const opcode = open ? 0 : isText ? 1 : 2;
    const isLast = random() < (open ? 0.5 : 0.75);
    const here = isLast ? payload.length : upTo(random, payload.length + 1);
    made.push(frame(random, (isLast ? 0x80 : 0) | opcode, payload.subarray(0, here)));
    open = isLast ? undefined : { rest: payload.subarray(here) };
  }
  return made;
}

/** A frame by RFC 6455 §5.2. Some lengths use more bytes than needed, and some masks are zero. */
function frame(random: Random, first: number, payload: Buffer, claimed = BigInt(payload.length)): Buffer {
  const wider = random() < 0.02 && (first & 8) === 0;
  const short = claimed < 126n && !wider;
  const middle = !short && claimed < 65_536n && !(wider && random() < 0.5);
  const length = Buffer.alloc(short ? 1 : middle ? 3 : 9);
  length[0] = 0x80 | (short ? Number(claimed) : middle ? 126 : 127);
  if (middle) length.writeUInt16BE(Number(claimed), 1);
  else if (!short) length.writeBigUInt64BE(claimed, 1);
  const mask = random() < 0.05 ? Buffer.alloc(4) : noise(random, 4);
  const masked = Buffer.from(payload);
  for (let at = 0; at < masked.length; at++) masked[at] = masked[at]! ^ mask[at % 4]!;
  return Buffer.concat([Buffer.from([first]), length, mask, masked]);
}

function brokenFrame(random: Random, inMessage: boolean): Buffer {
  const payload = noise(random, upTo(random, 20));
  switch (upTo(random, 9)) {
    case 0: // reserved bits
      return frame(random, 0x82 | ((1 + upTo(random, 7)) << 4), payload);
    case 1: // any opcode, final or not
      return frame(random, (random() < 0.5 ? 0x80 : 0) | upTo(random, 16), payload);
    case 2: {
      const unmasked = frame(random, 0x82, payload);
      unmasked[1]! &= 0x7f;
      return unmasked;
    }
    case 3: // a control frame in fragments
      return frame(random, 8 + upTo(random, 3), payload);
    case 4: // a long control frame
      return frame(random, 0x88 + upTo(random, 3), noise(random, 126 + upTo(random, 10)));
    case 5: // a frame out of order
      return frame(random, 0x80 | (inMessage ? 2 : 0), payload);
    case 6: // a length that claims more than follows
      return frame(
        random,
        0x82,
        payload,
        pick(random, [101n, 1_001n, 70_001n, 2n ** 32n, 2n ** 53n, 2n ** 64n - 1n]),
      );
    case 7:
      return frame(random, 0x81, pick(random, INVALID_TEXTS));
    default:
      return frame(random, 0x88, noise(random, upTo(random, 4)));
  }
}

/** About as many fragments as are allowed, empty or of one byte. */
function manyFragments(random: Random): Buffer {
  const count = MAX_FRAGMENTS - 3 + upTo(random, 6);
  const opcode = random() < 0.5 ? 1 : 2;
  const made = [frame(random, opcode, Buffer.alloc(0))];
  for (let index = 1; index < count; index++) {
    made.push(frame(random, 0, random() < 0.005 ? Buffer.from('a') : Buffer.alloc(0)));
  }
  made.push(frame(random, 0x80, Buffer.alloc(0)), frame(random, 0x89, Buffer.from('after')));
  return Buffer.concat(made);
}

function closePayload(random: Random): Buffer {
  if (random() < 0.2) return Buffer.alloc(0);
  const code = Buffer.alloc(2);
  code.writeUInt16BE(random() < 0.5 ? pick(random, CLOSE_CODES) : upTo(random, 5_100));
  const reason = random() < 0.2 ? pick(random, INVALID_TEXTS) : pick(random, TEXTS);
  return Buffer.concat([code, reason.subarray(0, 123)]);
}

function text(random: Random): Buffer {
  const parts = Array.from({ length: 1 + upTo(random, 4) }, () => pick(random, TEXTS));
  if (random() < 0.05) parts.push(pick(random, INVALID_TEXTS));
  return Buffer.concat(parts);
}

function size(random: Random): number {
  const kind = random();
  if (kind < 0.5) return upTo(random, 200);
  if (kind < 0.9) return pick(random, EDGES.slice(0, -2)) + upTo(random, 3);
  if (kind < 0.98) return upTo(random, 8_000);
  return random() < 0.7 ? pick(random, EDGES) : upTo(random, 100_000);
}

/** Slices of a pool of random bytes: generating each anew would take most of the time of a comparison. */
function noise(random: Random, length: number): Buffer {
  const at = upTo(random, NOISE.length - length);
  return Buffer.from(NOISE.subarray(at, at + length));
}

function flip(random: Random, bytes: Buffer): void {
  // Most of them near the beginning, where headers are.
  const at = upTo(random, random() < 0.5 ? Math.min(bytes.length, 20) : bytes.length);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << upTo(random, 8));
}

/** A whole number from 0 to below `limit`. */
function upTo(random: Random, limit: number): number {
  return floor(random() * limit);
}

function pick<T>(random: Random, values: readonly T[]): T {
  return values[upTo(random, values.length)]!;
}

function makeNoise(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = floor(random() * 256);
  return bytes;
}
