import { isUtf8 } from 'node:buffer';
import { CLOSE as CLOSE_CODE } from '../../wire/internal.js';
import { copyOf, EMPTY, MessageBuffer, View } from './bytes.js';
import {
  BINARY,
  CLOSE,
  CONTROL,
  FIN,
  findProblem,
  isCloseCode,
  LENGTH,
  LENGTH_16,
  LENGTH_64,
  OPCODE,
} from './frame-header.js';
import { rotate, unmask } from './mask.js';

/** The results of {@link FrameReader.next}. Numbers, because a switch over them is fast. */
export const FOUND = {
  /** No complete frame has arrived. */
  nothing: 0,
  text: 1,
  binary: 2,
  /** A non-final fragment. Returned even if it is empty, so that the caller can count it. */
  part: 3,
  close: 8,
  ping: 9,
  pong: 10,
  /** The peer broke a rule: close with `closeCode`. */
  violation: 11,
} as const;
export type Found = (typeof FOUND)[keyof typeof FOUND];

/** The most fragments a message may have, as in `ws`. */
export const MAX_FRAGMENTS = 16_384;

const MASK_BYTES = 4;
/** The longest incomplete unit outside of a message: a control frame. Headers are shorter. */
const LONGEST_UNIT_BYTES = 2 + MASK_BYTES + 125;
/** An incomplete rest is copied out of memory larger than this, so as not to keep that alive. */
const SMALL_MEMORY_BYTES = 4 * LONGEST_UNIT_BYTES;

/** Stands for a close frame without a code (RFC 6455 §7.4.1). */
const NO_CODE = 1005;

/**
 * Reads the frames of a websocket client: bytes in, one event at a time out (RFC 6455, server side, no extensions).
 *
 *     reader.append(chunk);
 *     for (let found = reader.next(); found !== FOUND.nothing; found = reader.next()) ...
 *
 * A whole frame inside a chunk is unmasked in place and returned as a view. {@link MessageBuffer} collects frames that
 * arrive in pieces. Between two chunks the reader keeps no chunk alive.
 */
export class FrameReader {
  /** Of text, binary, ping and pong. It is valid until the next `append()` or `next()`, and may be a view of a chunk. */
  payload = EMPTY;
  /**
   * Of `close`: what the peer sent, or 1005 if it sent none. Of `violation`: what to close with, 1002, 1007, 1008 or
   * 1009.
   */
  closeCode = 0;
  /** Of `close`. */
  closeReason = '';
  /** Of `violation`: what is wrong, in plain words. */
  problem = '';

  private ended = false;
  private chunk = EMPTY;
  private at = 0;
  /** Chunks that have arrived while `chunk` had a rest. */
  private readonly later: Buffer[] = [];
  private laterBytes = 0;

  /** The incomplete message; its opcode is 0 if there is none. */
  private readonly message = new MessageBuffer();
  private opcode = 0;
  private fragments = 0;
  /** The current frame of the message: `missing` bytes of its payload have not arrived. */
  private missing = 0;
  private mask = 0;
  private isLast = false;

  /** @param maxMessageBytes the maximum size of a message, in one frame or in fragments. A longer one is a violation. */
  constructor(private readonly maxMessageBytes: number) {}

  /** Adds received bytes. The reader owns them from now on: it unmasks in place. */
  append(chunk: Buffer): void {
    if (this.ended || chunk.length === 0) return;
    if (this.at === this.chunk.length && this.laterBytes === 0) this.begin(chunk);
    else {
      this.later.push(chunk);
      this.laterBytes += chunk.length;
    }
  }

  /** Returns the next complete item. After `violation` or `close` it returns only `nothing`. */
  next(): Found {
    if (this.ended) return FOUND.nothing;
    do {
      const found = this.missing > 0 ? this.readPayload() : this.readFrame();
      if (found !== FOUND.nothing) return found;
    } while (this.advance());
    this.payload = EMPTY;
    this.keepRest();
    return FOUND.nothing;
  }

  /** Returns the payload as bytes that can be kept: a copy if it would keep memory of more than twice its size alive. */
  ownPayload(): Buffer {
    const { payload } = this;
    return 2 * payload.length < payload.buffer.byteLength ? copyOf(payload, 0, payload.length) : payload;
  }

  /** Whether a frame or a fragmented message is incomplete. Valid after `nothing`. */
  get unfinished(): boolean {
    return this.opcode !== 0 || this.at < this.chunk.length;
  }

  /** The received bytes of the incomplete item; 0 if there is none. Valid after `nothing`. */
  get unfinishedBytes(): number {
    return this.message.length + this.chunk.length - this.at;
  }

  /** All bytes the reader holds: unread ones, and those of an incomplete message. */
  get pendingBytes(): number {
    return this.unfinishedBytes + this.laterBytes;
  }

  private readFrame(): Found {
    const { chunk, at } = this;
    const available = chunk.length - at;
    if (available < 2) return FOUND.nothing;
    const first = chunk[at]!;
    const second = chunk[at + 1]!;
    const problem = findProblem(first, second, this.opcode !== 0);
    if (problem !== undefined) return this.fail(CLOSE_CODE.protocolError, problem);

    let length = second & LENGTH;
    let header = 2 + MASK_BYTES;
    if (length === LENGTH_16) {
      if (available < 4) return FOUND.nothing;
      length = chunk.readUInt16BE(at + 2);
      header += 2;
    } else if (length === LENGTH_64) {
      if (available < 10) return FOUND.nothing;
      // Inexact from 2^53 on, where it is too long in any case.
      length = chunk.readUInt32BE(at + 2) * 2 ** 32 + chunk.readUInt32BE(at + 6);
      header += 8;
    }
    const isControl = (first & CONTROL) !== 0;
    if (!isControl && this.message.length + length > this.maxMessageBytes) {
      return this.fail(CLOSE_CODE.messageTooBig, `a message has more than ${this.maxMessageBytes} bytes`);
    }
    if (available < header) return FOUND.nothing;

    const isWhole = available - header >= length;
    if (isControl && !isWhole) return FOUND.nothing;
    const start = at + header;
    const mask =
      chunk[start - 4]! | (chunk[start - 3]! << 8) | (chunk[start - 2]! << 16) | (chunk[start - 1]! << 24);
    const isLast = (first & FIN) !== 0;
    if (isWhole && isLast && (isControl || this.opcode === 0)) {
      this.at = start + length;
      this.payload = this.unmasked(start, length, mask);
      return isControl ? this.control(first & OPCODE) : this.data(first & OPCODE);
    }
    this.at = start;
    this.opcode ||= first & OPCODE;
    this.missing = length;
    this.mask = mask;
    this.isLast = isLast;
    return length === 0 ? this.endFrame() : this.readPayload();
  }

  private unmasked(start: number, length: number, mask: number): Buffer {
    if (length === 0) return EMPTY;
    const { chunk } = this;
    unmask(chunk, start, start + length, mask);
    return new View(chunk.buffer, chunk.byteOffset + start, length);
  }

  /** Moves the received part of the payload into the message. */
  private readPayload(): Found {
    const { chunk, at, missing, message } = this;
    const end = Math.min(at + missing, chunk.length);
    if (end === at) return FOUND.nothing;
    unmask(chunk, at, end, this.mask);
    // More frames may follow one that is not the last.
    message.add(chunk, at, end, this.isLast ? message.length + missing : this.maxMessageBytes);
    this.at = end;
    this.missing = missing - (end - at);
    this.mask = rotate(this.mask, end - at);
    return this.missing > 0 ? FOUND.nothing : this.endFrame();
  }

  private endFrame(): Found {
    if (++this.fragments > MAX_FRAGMENTS) {
      return this.fail(CLOSE_CODE.tooManyFragments, `a message has more than ${MAX_FRAGMENTS} fragments`);
    }
    if (!this.isLast) {
      this.payload = EMPTY;
      return FOUND.part;
    }
    const { opcode } = this;
    this.payload = this.message.take();
    this.opcode = this.fragments = 0;
    return this.data(opcode);
  }

  private data(opcode: number): Found {
    if (opcode === BINARY) return FOUND.binary;
    return isUtf8(this.payload) ? FOUND.text : this.fail(CLOSE_CODE.invalidUtf8, 'a text is not UTF-8');
  }

  private control(opcode: number): Found {
    if (opcode !== CLOSE) return opcode as Found;
    const { payload } = this;
    if (payload.length === 0) return this.close(NO_CODE, '');
    const code = payload.readUInt16BE(0);
    const reason = payload.subarray(2);
    if (!isCloseCode(code))
      return this.fail(CLOSE_CODE.protocolError, `close code ${code} is not allowed in a frame`);
    if (!isUtf8(reason)) return this.fail(CLOSE_CODE.invalidUtf8, 'the reason of a close frame is not UTF-8');
    return this.close(code, reason.toString());
  }

  private close(code: number, reason: string): Found {
    this.discard();
    this.closeCode = code;
    this.closeReason = reason;
    return FOUND.close;
  }

  private fail(code: number, problem: string): Found {
    this.discard();
    this.closeCode = code;
    this.problem = problem;
    return FOUND.violation;
  }

  /** Stops reading, and releases all memory. */
  discard(): void {
    this.ended = true;
    this.payload = EMPTY;
    this.begin(EMPTY);
    this.later.length = this.laterBytes = 0;
    this.message.clear();
    this.opcode = this.missing = 0;
  }

  private begin(chunk: Buffer): void {
    this.chunk = chunk;
    this.at = 0;
  }

  /**
   * Advances to the next chunk; false if there is none. Joins a rest, which is shorter than a header or a control frame,
   * with enough of the next chunk to complete it.
   */
  private advance(): boolean {
    const next = this.laterBytes > 0 ? this.later.shift() : undefined;
    if (next === undefined) return false;
    const { chunk, at } = this;
    const rest = chunk.length - at;
    if (rest === 0) {
      this.laterBytes -= next.length;
      this.begin(next);
      return true;
    }
    const borrowed = Math.min(next.length, LONGEST_UNIT_BYTES);
    const joined = Buffer.allocUnsafeSlow(rest + borrowed);
    chunk.copy(joined, 0, at);
    next.copy(joined, rest, 0, borrowed);
    this.laterBytes -= borrowed;
    this.begin(joined);
    if (borrowed < next.length) this.later.unshift(next.subarray(borrowed));
    return true;
  }

  /** Keeps a rest until the next `append()`, without its chunk. */
  private keepRest(): void {
    const { chunk, at } = this;
    if (at === chunk.length) this.begin(EMPTY);
    else if (chunk.buffer.byteLength > SMALL_MEMORY_BYTES) this.begin(copyOf(chunk, at, chunk.length));
  }
}
