// Compares the frame reader with the Receiver of `ws`: the same chunks, in one run. Build first: npm run build.
import { randomBytes } from 'node:crypto';
import { Receiver } from 'ws';
import { FOUND, FrameReader } from '../libs/fedecks/dist/server/websocket/frame-reader.js';

const MAX_MESSAGE_BYTES = 256 * 1024;
const ROUNDS = 7;
const BYTES_PER_ROUND = 16 * 1024 * 1024;
const MAX_CHUNKS = 20_000;

function frame(bytes) {
  const header = Buffer.alloc(bytes < 126 ? 2 : bytes < 65_536 ? 4 : 10);
  header[0] = 0x82;
  header[1] = 0x80 | (bytes < 126 ? bytes : bytes < 65_536 ? 126 : 127);
  if (header.length === 4) header.writeUInt16BE(bytes, 2);
  if (header.length === 10) header.writeUInt32BE(bytes, 6);
  return Buffer.concat([header, randomBytes(4 + bytes)]);
}

/** Separate memory for each chunk, as from a socket, because both readers unmask in place. */
function chunksOf(bytes, framesPerChunk, count) {
  const frames = Buffer.concat(Array.from({ length: framesPerChunk }, () => frame(bytes)));
  return Array.from({ length: count }, () => {
    const chunk = Buffer.from(new ArrayBuffer(frames.length));
    frames.copy(chunk);
    return chunk;
  });
}

let seen = 0;
const readers = {
  ours(chunks) {
    const reader = new FrameReader(MAX_MESSAGE_BYTES);
    for (const chunk of chunks) {
      reader.append(chunk);
      while (reader.next() !== FOUND.nothing) seen += reader.payload.length;
    }
  },
  ws(chunks) {
    const receiver = new Receiver({ isServer: true, maxPayload: MAX_MESSAGE_BYTES });
    receiver.on('message', (payload) => (seen += payload.length));
    for (const chunk of chunks) receiver.write(chunk);
  },
};

/** Nanoseconds per frame. */
function measure(read, bytes, framesPerChunk) {
  const count = Math.min(MAX_CHUNKS, Math.ceil(BYTES_PER_ROUND / (bytes * framesPerChunk)));
  const chunks = chunksOf(bytes, framesPerChunk, count);
  const since = performance.now();
  read(chunks);
  return ((performance.now() - since) * 1e6) / (count * framesPerChunk);
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

const rows = [];
for (const bytes of [60, 1024, 64 * 1024]) {
  for (const framesPerChunk of [1, 8, 64]) {
    const times = { ours: [], ws: [] };
    // Interleaved, so that a slow phase of the machine affects both. The first round warms up.
    for (let round = 0; round <= ROUNDS; round++) {
      for (const name of ['ws', 'ours']) {
        const time = measure(readers[name], bytes, framesPerChunk);
        if (round > 0) times[name].push(time);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const [ours, ws] = [median(times.ours), median(times.ws)];
    rows.push({
      payload: bytes,
      'frames a chunk': framesPerChunk,
      'ours ns/frame': Math.round(ours),
      'ws ns/frame': Math.round(ws),
      speed: `${(ws / ours).toFixed(2)}x`,
    });
  }
}
console.table(rows);
if (seen === 0) throw new Error('nothing was read');
