// Devices made of plain sockets and frames made beforehand: a load generator must cost less than what it measures.
import { connect } from 'node:net';
import { encodeTerm, TOKEN_PLEASE } from '../libs/fedecks/dist/wire/index.js';

function masked(payload) {
  const extended = payload.length > 125;
  const head = extended
    ? [0x82, 0xfe, payload.length >> 8, payload.length & 255]
    : [0x82, 0x80 | payload.length];
  // A mask of zeros is a legal mask, and leaves the payload as it is; the server has to unmask all the same.
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]);
}

function frameBytes(payload) {
  return payload.length + (payload.length > 125 ? 4 : 2);
}

/** A connected device. `onBytes` hears how much has arrived. */
export function device(port, id) {
  const auth = encodeTerm({ 'fedecks-device-id': id, password: 'x' }).toString('base64');
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  const made = { socket, onBytes: undefined };
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.write(
      `GET /fedecks/websocket HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n` +
        `sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-fedecks-auth: ${auth}\r\n\r\n`,
    );
    socket.once('data', (response) => {
      if (!response.toString('latin1').startsWith('HTTP/1.1 101'))
        return reject(new Error(response.toString('latin1')));
      socket.on('data', (bytes) => made.onBytes?.(bytes.length));
      resolve(made);
    });
  });
}

export async function connectAll(port, count, prefix = 'device') {
  const devices = [];
  for (let from = 0; from < count; from += 50) {
    const batch = Array.from({ length: Math.min(50, count - from) }, (_, i) =>
      device(port, `${prefix}-${from + i}`),
    );
    devices.push(...(await Promise.all(batch)));
  }
  for (const { socket } of devices) socket.write(masked(TOKEN_PLEASE));
  await new Promise((resolve) => setTimeout(resolve, 300));
  return devices;
}

/** Keeps `inFlight` messages under way on each device for `ms`, and returns how many were echoed. */
export async function echo(devices, message, inFlight, ms) {
  const payload = encodeTerm(message);
  const frame = masked(payload);
  const reply = frameBytes(payload);
  const frames = Array.from({ length: inFlight + 1 }, (_, n) => Buffer.concat(new Array(n).fill(frame)));
  let echoed = 0;
  let running = true;
  for (const each of devices) {
    let pending = 0;
    each.onBytes = (length) => {
      pending += length;
      const whole = Math.floor(pending / reply);
      pending -= whole * reply;
      echoed += whole;
      if (running && whole > 0) each.socket.write(frames[Math.min(whole, inFlight)]);
    };
    each.socket.write(frames[inFlight]);
  }
  await new Promise((resolve) => setTimeout(resolve, ms));
  running = false;
  const total = echoed;
  await new Promise((resolve) => setTimeout(resolve, 200));
  return total;
}
