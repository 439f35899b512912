// Devices made of plain sockets and prebuilt frames, as a load generator must cost less than the server it measures.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { encodeTerm, TOKEN_PLEASE, tuple } from '../libs/fedecks/dist/wire/internal.js';

/** The number of prebuilt frames with different masks: masking is expensive. */
const MASKS = 16;

/**
 * A frame with a random mask. A zero mask would be valid, but `ws` does not unmask it.
 * @param first its first byte: 0x82 for an unfragmented binary message.
 */
export function masked(payload, first = 0x82) {
  const mask = randomBytes(4);
  const bytes = payload.map((byte, index) => byte ^ mask[index & 3]);
  return Buffer.concat([head(first, payload.length, 0x80), mask, bytes]);
}

function head(first, length, maskBit) {
  if (length < 126) return Buffer.from([first, maskBit | length]);
  if (length < 65_536) return Buffer.from([first, maskBit | 126, length >> 8, length & 255]);
  const bytes = Buffer.from([first, maskBit | 127, 0, 0, 0, 0, 0, 0, 0, 0]);
  bytes.writeUInt32BE(length, 6);
  return bytes;
}

/** The server's frame for a payload. */
function frameBytes(payload) {
  return head(0x82, payload.length, 0).length + payload.length;
}

/**
 * A connected device. Calls `onBytes` with the number of received bytes, and the bytes.
 * @param protocol 2 to be able to send requests and deliveries.
 */
export function device(port, id, protocol = 1, credentials = { password: 'x' }) {
  const auth = encodeTerm({ 'fedecks-device-id': id, ...credentials }).toString('base64');
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  const made = { socket, onBytes: undefined };
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.write(
      `GET /fedecks/websocket HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n` +
        `sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-fedecks-auth: ${auth}\r\n` +
        `${protocol === 2 ? 'x-fedecks-protocol: 2\r\n' : ''}\r\n`,
    );
    socket.once('data', (response) => {
      if (!response.toString('latin1').startsWith('HTTP/1.1 101'))
        return reject(new Error(response.toString('latin1')));
      socket.on('data', (bytes) => made.onBytes?.(bytes.length, bytes));
      resolve(made);
    });
  });
}

export async function connectAll(port, count, prefix = 'device', protocol = 1) {
  const devices = [];
  for (let from = 0; from < count; from += 50) {
    const batch = Array.from({ length: Math.min(50, count - from) }, (_, i) =>
      device(port, `${prefix}-${from + i}`, protocol),
    );
    devices.push(...(await Promise.all(batch)));
  }
  for (const { socket } of devices) socket.write(masked(TOKEN_PLEASE));
  await new Promise((resolve) => setTimeout(resolve, 300));
  return devices;
}

/**
 * Keeps `inFlight` messages unanswered on each device for `ms`, and returns the number of answers.
 * @param payload of each message; a function returns that of the nth, of which there are `16 * inFlight`, all of one size.
 * @param reply the payload of the answers.
 */
export async function echo(devices, payload, reply, inFlight, ms) {
  const payloadOf = typeof payload === 'function' ? payload : () => payload;
  const replyBytes = frameBytes(reply);
  const bursts = Array.from({ length: MASKS }, (_, burst) =>
    Buffer.concat(Array.from({ length: inFlight }, (_, i) => masked(payloadOf(burst * inFlight + i)))),
  );
  const requestBytes = bursts[0].length / inFlight;
  let answered = 0;
  let sent = 0;
  let running = true;
  for (const each of devices) {
    let pending = 0;
    each.onBytes = (length) => {
      pending += length;
      const whole = Math.floor(pending / replyBytes);
      pending -= whole * replyBytes;
      answered += whole;
      if (!running || whole === 0) return;
      const burst = bursts[sent++ % MASKS];
      each.socket.write(whole === inFlight ? burst : burst.subarray(0, whole * requestBytes));
    };
    each.socket.write(bursts[sent++ % MASKS]);
  }
  await new Promise((resolve) => setTimeout(resolve, ms));
  running = false;
  const total = answered;
  await new Promise((resolve) => setTimeout(resolve, 200));
  return total;
}

/**
 * Keeps `inFlight` deliveries unacknowledged in one lane of each device for `ms`, and returns the number of acks.
 * @param message the term that is delivered, encoded.
 */
export async function deliver(devices, message, inFlight, ms) {
  const charlist = [...Buffer.from('deliver')];
  // The sequence numbers are written into the frames: this one shows where.
  const payload = encodeTerm(tuple(charlist, 0, 0x1234_5678, 'E', 1, 0, 0));
  payload[2] = 8;
  const seqAt = payload.indexOf(Buffer.from('12345678', 'hex'));
  const whole = Buffer.concat([payload, message.subarray(1)]);
  const frame = masked(whole);
  const start = frame.length - whole.length;
  const mask = frame.readUInt32BE(start - 4);
  // The mask of the four bytes at `seqAt`.
  const turn = (seqAt & 3) * 8;
  const seqMask = ((mask << turn) | (turn && mask >>> (32 - turn))) >>> 0;
  const write = (device, count) => {
    const burst = Buffer.concat(Array.from({ length: count }, () => frame));
    for (let index = 0; index < count; index++)
      burst.writeUInt32BE((++device.seq ^ seqMask) >>> 0, index * frame.length + start + seqAt);
    device.socket.write(burst);
  };
  let acked = 0;
  let running = true;
  for (const device of devices) {
    device.seq ??= 0;
    device.onBytes = (_length, bytes) => {
      let acks = 0;
      // An ack is shorter than 126 bytes, and all of those that are written together arrive together on loopback.
      for (let at = 0; at < bytes.length; at += 2 + bytes[at + 1]) acks++;
      acked += acks;
      if (running) write(device, acks);
    };
    write(device, inFlight);
  }
  await new Promise((resolve) => setTimeout(resolve, ms));
  running = false;
  const total = acked;
  await new Promise((resolve) => setTimeout(resolve, 200));
  return total;
}

/** Devices that may deliver: each has sent its resume. */
export async function connectAllToDeliver(port, count) {
  const devices = await connectAll(port, count, 'device', 2);
  const resume = encodeTerm(tuple([...Buffer.from('resume')], [], 0, 0));
  for (const { socket } of devices) socket.write(masked(resume));
  await new Promise((resolve) => setTimeout(resolve, 300));
  return devices;
}
