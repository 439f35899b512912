// Frames of a hostile device over a socket: the server must close its connection, and keep serving another device.
import { converse, HonestDevice, loginRequest, startCloud, stopCloud } from '../cloud.mjs';

const RUNS_BETWEEN_ECHOES = 20;
let honest;
let runs = 0;
let frames = 0;

export async function setUp() {
  await startCloud();
  honest = await HonestDevice.connect();
}

export async function tearDown() {
  honest.end();
  await stopCloud();
}

/** The number of sent frames, by the lengths in their headers. */
export function framesSent() {
  return frames;
}

export async function run(bytes) {
  frames += countFrames(bytes);
  const answer = await converse([loginRequest(String(runs % 1_000_000).padStart(6, '0')), bytes]);
  if (!answer.includes('HTTP/1.1 101 ')) throw new Error('a device is not let in');
  if (++runs % RUNS_BETWEEN_ECHOES === 0) await honest.echo();
}

function countFrames(bytes) {
  let count = 0;
  for (let at = 0; at + 2 <= bytes.length; count++) {
    const short = bytes[at + 1] & 0x7f;
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (at + 2 + extended > bytes.length) break;
    const size =
      extended === 0 ? short : bytes.readUIntBE(at + 2 + Math.max(0, extended - 6), Math.min(6, extended));
    at += 2 + extended + (bytes[at + 1] & 0x80 ? 4 : 0) + size;
  }
  return count;
}
