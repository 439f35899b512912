// A client must treat any frame as a message, a token or nothing, and never throw.
import { readFrame } from '../../../libs/fedecks/dist/client/inbound.js';

const DEVICE = { deviceId: 'nerves-242a', maxFrameBytes: 262_144 };
const KINDS = ['message', 'token', 'text', 'undecodable', 'oversized_token'];

export function run(bytes) {
  const inbound = readFrame(bytes, true, DEVICE);
  if (!KINDS.includes(inbound.kind)) throw new Error(`a frame of kind ${String(inbound.kind)}`);
  if (inbound.kind === 'token' && inbound.header.length > 1023)
    throw new Error('a token too long for a header');
}
