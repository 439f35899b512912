// The frame reader must return the same events wherever the bytes are split, and never throw.
import { FOUND, FrameReader } from '../../../libs/fedecks/dist/server/websocket/frame-reader.js';

const MAX_MESSAGE_BYTES = 1_000;
const CLOSE_CODES = [1002, 1007, 1008, 1009];
let turn = 0;

/** Reads each input in one chunk, and in chunks of a size that varies by run. */
export function run(bytes) {
  compare(bytes, 1 + (turn++ % 9));
}

export function runAlone(bytes) {
  for (let size = 1; size <= 9; size++) compare(bytes, size);
}

function compare(bytes, size) {
  const whole = read(bytes, Math.max(1, bytes.length));
  const cut = read(bytes, size);
  if (whole !== cut) throw new Error(`in one piece ${whole}; in pieces of ${size} bytes ${cut}`);
}

/** The events as text. Copies the bytes, because the reader unmasks in place. */
function read(bytes, size) {
  const reader = new FrameReader(MAX_MESSAGE_BYTES);
  let events = '';
  for (let at = 0; at < bytes.length; at += size) {
    reader.append(Buffer.from(bytes.subarray(at, at + size)));
    for (let found = reader.next(); found !== FOUND.nothing; found = reader.next()) {
      events += `${found} ${describe(found, reader)};`;
    }
    if (reader.pendingBytes > MAX_MESSAGE_BYTES + 140)
      throw new Error('more is held than a message and a frame');
  }
  return events;
}

function describe(found, { payload, closeCode, closeReason }) {
  if (found === FOUND.close) return `${closeCode} ${closeReason}`;
  if (found === FOUND.part) return '';
  if (found !== FOUND.violation) return payload.toString('latin1');
  if (!CLOSE_CODES.includes(closeCode)) throw new Error(`a violation that closes with ${closeCode}`);
  return String(closeCode);
}
