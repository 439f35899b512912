import {
  type DeliverHead,
  type DeliveryControl,
  type DeliveryWindow,
  elementsOf,
  type HandledInLane,
  isNackCode,
  MAX_ERROR_TEXT,
  readElement,
} from './control.js';
import { type DecodeOptions } from './decode.js';
import { BINARY, INTEGER, SMALL_BIG, SMALL_INTEGER } from './tags.js';
import { type Term, Tuple } from './term.js';

/** The lanes of each direction: 0 to 7. */
const LANES = 8;
const MAX_EPOCH_BYTES = 32;
/** Where the elements behind the name of a `deliver` begin. */
const AFTER_DELIVER = 6 + 'deliver'.length;

/** Reads numbers and short texts of a term one after another, without decoding what follows. */
class HeadReader {
  constructor(
    private readonly bytes: Buffer,
    /** Where the next one begins. */
    public at: number,
  ) {}

  /** A whole number of tag 97, 98 or 110, as far as a double holds it exactly; undefined for anything else. */
  integer(): number | undefined {
    const { bytes, at } = this;
    switch (bytes[at]) {
      case SMALL_INTEGER:
        this.at += 2;
        return bytes[at + 1];
      case INTEGER:
        this.at += 5;
        return this.at <= bytes.length ? bytes.readInt32BE(at + 1) : undefined;
      case SMALL_BIG: {
        const length = bytes[at + 1] ?? 0;
        this.at += 3 + length;
        if (length < 1 || length > 8 || bytes[at + 2] !== 0 || this.at > bytes.length) return undefined;
        let value = 0;
        for (let index = length; index > 0; index--) value = value * 256 + (bytes[at + 2 + index] ?? 0);
        return Number.isSafeInteger(value) ? value : undefined;
      }
      default:
        return undefined;
    }
  }

  /** A binary of at most so many bytes. */
  text(maxBytes: number): string | undefined {
    const { bytes, at } = this;
    if (bytes[at] !== BINARY || at + 5 > bytes.length) return undefined;
    const length = bytes.readUInt32BE(at + 1);
    this.at += 5 + length;
    return length <= maxBytes && this.at <= bytes.length
      ? bytes.toString('latin1', at + 5, this.at)
      : undefined;
  }
}

/** The head of a `deliver`. Undefined when it is malformed. */
export function readDeliverHead(bytes: Buffer): DeliverHead | undefined {
  return readHead(new HeadReader(bytes, AFTER_DELIVER));
}

function readHead(reader: HeadReader): DeliverHead | undefined {
  const lane = reader.integer();
  const seq = reader.integer();
  const epoch = reader.text(MAX_EPOCH_BYTES);
  const attempt = reader.integer();
  const nacks = reader.integer();
  const ageMs = reader.integer();
  if (!isLane(lane) || !isCount(seq, 1) || !isEpoch(epoch, true)) return undefined;
  if (!isCount(attempt, 1) || !isCount(nacks, 0) || !isCount(ageMs, -1)) return undefined;
  return { type: 'deliver', lane, seq, epoch, attempt, nacks, ageMs };
}

/** The message of a `deliver`. Undefined when it is no safe term, or too large a one. */
export function readDelivered(bytes: Buffer, options?: DecodeOptions): { readonly value: Term } | undefined {
  const reader = new HeadReader(bytes, AFTER_DELIVER);
  return readHead(reader) && readElement(bytes, reader.at, options);
}

/** Reads a `resume`, `result`, `ack` or `nack`. Undefined when it is malformed. */
export function decodeDeliveryControl(
  bytes: Buffer,
  type: Exclude<DeliveryControl['type'], 'deliver'>,
  options?: DecodeOptions,
): Exclude<DeliveryControl, { readonly type: 'deliver' }> | undefined {
  const elements = elementsOf(bytes, options);
  if (!elements) return undefined;
  if (type === 'resume') {
    const [, handled, messages, size] = elements;
    const window = windowOf(messages, size);
    const lanes = handledOf(handled);
    return window && lanes ? { type, handled: lanes, window } : undefined;
  }
  const [, lane, seq, third, fourth] = elements;
  if (!isLane(lane) || !isCount(seq, 1)) return undefined;
  if (type === 'result') return { type, lane, seq, value: third as Term };
  if (type === 'ack') {
    const window = windowOf(third, fourth);
    return window && { type, lane, seq, window };
  }
  return isNackCode(third) && typeof fourth === 'string'
    ? { type, lane, seq, code: third, text: fourth.slice(0, MAX_ERROR_TEXT) }
    : undefined;
}

function handledOf(term: Term | undefined): readonly HandledInLane[] | undefined {
  if (!Array.isArray(term) || term instanceof Tuple || term.length > LANES) return undefined;
  const handled: HandledInLane[] = [];
  for (const each of term as readonly Term[]) {
    if (!(each instanceof Tuple) || each.length !== 3) return undefined;
    const [lane, epoch, seq] = each;
    if (!isLane(lane) || !isEpoch(epoch, false) || !isCount(seq, 1)) return undefined;
    if (handled.some((other) => other.lane === lane)) return undefined;
    handled.push({ lane, epoch, seq });
  }
  return handled;
}

function windowOf(messages: Term | undefined, bytes: Term | undefined): DeliveryWindow | undefined {
  return isCount(messages, 0) && isCount(bytes, 0) ? { messages, bytes } : undefined;
}

function isLane(term: Term | undefined): term is number {
  return isCount(term, 0) && term < LANES;
}

function isEpoch(term: Term | undefined, mayBeEmpty: boolean): term is string {
  return typeof term === 'string' && term.length <= MAX_EPOCH_BYTES && (mayBeEmpty || term !== '');
}

function isCount(term: Term | undefined, least: number): term is number {
  return typeof term === 'number' && Number.isSafeInteger(term) && term >= least;
}
