import { crc32c } from './crc32c.js';
import { type Moment } from './moment.js';
import { LANES } from '../../delivery/index.js';
import { type OutboxRecord } from './outbox-store.js';

// A frame: CRC-32C of what follows (4 bytes), length of the body (4 bytes), body. All numbers are little-endian. The
// first byte of the body is its type.

const FRAME_HEADER = 8;
/** A longer frame is damaged. A message cannot be longer than a frame of a websocket, which is far below. */
const MAX_FRAME_BYTES = 256 * 1024 * 1024;

/** The first frame of each segment, and the one with which an epoch begins. */
export const HEADER = 1;
/** A record that was appended. */
export const PUT = 2;
/** A range of numbers of one lane that no longer wait. */
export const REMOVE = 3;
/** The last frame of each segment but the newest: without it, the end of the file is lost. */
export const SEAL = 4;

const MAGIC = 'FDKOUT';
const VERSION = 1;
const NO_KEY = 0xffff;
const EPOCH_BYTES = 22;
// Offsets in a frame of type PUT.
const SEQ = FRAME_HEADER + 1;
const TTL = SEQ + 8;
const BOOT = TTL + 8;
const MONOTONIC = BOOT + 16;
const WALL = MONOTONIC + 8;
const NUMBER = WALL + 8;
const LANE = NUMBER + 1;

/**
 * The text that was read last. Most records of a store have the same lane and boot id, and a new string for each would take
 * longer than all else when a store with many opens.
 */
class LastText {
  private bytes = Buffer.alloc(0);
  private text = '';

  constructor(private readonly encoding: 'utf8' | 'hex') {}

  read(bytes: Buffer, start: number, end: number): string {
    if (!this.isAt(bytes, start, end)) {
      this.bytes = Buffer.from(bytes.subarray(start, end));
      this.text = this.bytes.toString(this.encoding);
    }
    return this.text;
  }

  /** A loop: `Buffer.compare` takes longer for so few bytes. */
  private isAt(bytes: Buffer, start: number, end: number): boolean {
    if (this.bytes.length !== end - start) return false;
    for (let index = start; index < end; index++)
      if (bytes[index] !== this.bytes[index - start]) return false;
    return true;
  }
}

const lastLane = new LastText('utf8');
const lastBootId = new LastText('hex');

/** A process that has opened the store, or a new beginning: all numbers from these on, up to the next one's, are its own. */
export interface Opening {
  /** 22 characters of ASCII. */
  readonly epoch: string;
  /** By the number of the lane. */
  readonly from: readonly number[];
}

/** What a store knows beside its records. */
export interface Header {
  /** Oldest first. The last one is that of the process that has written the header. */
  readonly openings: readonly Opening[];
  /** The names of the lanes by number; empty for a number without one. Nothing waited in any other lane. */
  readonly names: readonly string[];
  /** The next number of each lane, by the number of the lane. */
  readonly next: readonly number[];
}

/** A record without its message, as it is read when the store opens. */
export interface PutHead {
  readonly lane: string;
  readonly laneNumber: number;
  readonly seq: number;
  readonly key: string | undefined;
  readonly ttlMs: number;
  readonly putAt: Moment;
}

export interface Removal {
  readonly lane: string;
  readonly from: number;
  readonly through: number;
}

/** How many bytes a record takes in the store. */
export function frameBytes({ lane, key, message }: Pick<OutboxRecord, 'lane' | 'key' | 'message'>): number {
  const text = Buffer.byteLength(lane) + (key === undefined ? 0 : Buffer.byteLength(key));
  return LANE + 1 + text + 2 + message.length;
}

export function encodePut(record: OutboxRecord, laneNumber: number): Buffer {
  const { lane, key, message, putAt } = record;
  const frame = newFrame(PUT, frameBytes(record));
  frame.writeDoubleLE(record.seq, SEQ);
  frame.writeDoubleLE(record.ttlMs, TTL);
  frame.write(putAt.bootId, BOOT, 16, 'hex');
  frame.writeDoubleLE(putAt.monotonicMs, MONOTONIC);
  frame.writeDoubleLE(putAt.wallMs, WALL);
  frame[NUMBER] = laneNumber;
  let offset = writeLane(frame, lane, LANE);
  const keyBytes = key === undefined ? 0 : frame.write(key, offset + 2);
  frame.writeUInt16LE(key === undefined ? NO_KEY : keyBytes, offset);
  offset += 2 + keyBytes;
  frame.set(message, offset);
  return seal(frame);
}

/** @param start where the frame begins in `bytes`; it is intact, and a PUT. */
export function decodePut(bytes: Buffer, start: number): PutHead & { readonly messageStart: number } {
  const lane = readLane(bytes, start + LANE);
  const keyStart = lane.end + 2;
  const keyBytes = bytes.readUInt16LE(lane.end);
  const keyEnd = keyBytes === NO_KEY ? keyStart : keyStart + keyBytes;
  return {
    lane: lane.name,
    laneNumber: bytes[start + NUMBER] as number,
    seq: bytes.readDoubleLE(start + SEQ),
    key: keyBytes === NO_KEY ? undefined : bytes.toString('utf8', keyStart, keyEnd),
    ttlMs: bytes.readDoubleLE(start + TTL),
    putAt: {
      bootId: lastBootId.read(bytes, start + BOOT, start + BOOT + 16),
      monotonicMs: bytes.readDoubleLE(start + MONOTONIC),
      wallMs: bytes.readDoubleLE(start + WALL),
    },
    messageStart: keyEnd,
  };
}

export function encodeRemoval({ lane, from, through }: Removal): Buffer {
  const frame = newFrame(REMOVE, FRAME_HEADER + 1 + 16 + 1 + Buffer.byteLength(lane));
  frame.writeDoubleLE(from, FRAME_HEADER + 1);
  frame.writeDoubleLE(through, FRAME_HEADER + 9);
  writeLane(frame, lane, FRAME_HEADER + 17);
  return seal(frame);
}

export function decodeRemoval(bytes: Buffer, start: number): Removal {
  return {
    lane: readLane(bytes, start + FRAME_HEADER + 17).name,
    from: bytes.readDoubleLE(start + FRAME_HEADER + 1),
    through: bytes.readDoubleLE(start + FRAME_HEADER + 9),
  };
}

export function encodeHeader({ openings, names, next }: Header): Buffer {
  const nameBytes = names.reduce((sum, name) => sum + 1 + Buffer.byteLength(name), 0);
  const openingBytes = openings.length * (EPOCH_BYTES + 8 * LANES);
  const length = FRAME_HEADER + 1 + MAGIC.length + 1 + nameBytes + 8 * LANES + 4 + openingBytes;
  const frame = newFrame(HEADER, length);
  let offset = FRAME_HEADER + 1;
  offset += frame.write(MAGIC, offset, 'latin1');
  offset = frame.writeUInt8(VERSION, offset);
  for (const name of names) offset = writeLane(frame, name, offset);
  for (const seq of next) offset = frame.writeDoubleLE(seq, offset);
  offset = frame.writeUInt32LE(openings.length, offset);
  for (const { epoch, from } of openings) {
    offset += frame.write(epoch, offset, EPOCH_BYTES, 'latin1');
    for (const seq of from) offset = frame.writeDoubleLE(seq, offset);
  }
  return seal(frame);
}

/** The header in an intact frame; `newer` if a later version of this library has written it, undefined if it is none. */
export function decodeHeader(bytes: Buffer, start: number): Header | 'newer' | undefined {
  let offset = start + FRAME_HEADER + 1;
  if (typeAt(bytes, start) !== HEADER) return undefined;
  if (bytes.toString('latin1', offset, offset + MAGIC.length) !== MAGIC) return undefined;
  offset += MAGIC.length;
  if (bytes.readUInt8(offset++) !== VERSION) return 'newer';
  const names = Array.from({ length: LANES }, () => {
    const { name, end } = readLane(bytes, offset);
    offset = end;
    return name;
  });
  const numbers = (): number[] =>
    Array.from({ length: LANES }, () => {
      offset += 8;
      return bytes.readDoubleLE(offset - 8);
    });
  const next = numbers();
  const count = bytes.readUInt32LE(offset);
  offset += 4;
  const openings = Array.from({ length: count }, () => {
    offset += EPOCH_BYTES;
    return { epoch: bytes.toString('latin1', offset - EPOCH_BYTES, offset), from: numbers() };
  });
  return { openings, names, next };
}

export function encodeSeal(): Buffer {
  return seal(newFrame(SEAL, FRAME_HEADER + 1));
}

export function typeAt(bytes: Buffer, start: number): number {
  return bytes[start + FRAME_HEADER] as number;
}

/**
 * The length of the frame at `start`, if it is intact and ends before `end`; 0 if it is damaged. A negative number
 * says how many bytes are needed to tell.
 */
export function checkFrame(bytes: Buffer, start: number, end: number): number {
  if (end - start < FRAME_HEADER) return -FRAME_HEADER;
  const length = FRAME_HEADER + bytes.readUInt32LE(start + 4);
  if (length === FRAME_HEADER || length > MAX_FRAME_BYTES) return 0;
  if (end - start < length) return -length;
  return crc32c(bytes, start + 4, start + length) === bytes.readUInt32LE(start) ? length : 0;
}

function newFrame(type: number, length: number): Buffer {
  const frame = Buffer.allocUnsafe(length);
  frame.writeUInt32LE(length - FRAME_HEADER, 4);
  frame[FRAME_HEADER] = type;
  return frame;
}

function seal(frame: Buffer): Buffer {
  frame.writeUInt32LE(crc32c(frame, 4), 0);
  return frame;
}

/** Returns the offset after it. */
function writeLane(frame: Buffer, lane: string, offset: number): number {
  const bytes = frame.write(lane, offset + 1);
  frame[offset] = bytes;
  return offset + 1 + bytes;
}

function readLane(bytes: Buffer, offset: number): { readonly name: string; readonly end: number } {
  const end = offset + 1 + (bytes[offset] as number);
  return { name: lastLane.read(bytes, offset + 1, end), end };
}
