// An honest device in a separate process: an echo every 20 ms, whether or not the last one has returned.
import { connect } from 'node:net';
import { masked } from './load.mjs';
import { binary, event } from './hostile-terms.mjs';
import { loginRequest } from './hostile-device.mjs';

const EVERY_MS = 20;
const [port] = process.argv.slice(2).map(Number);
const sentAt = [];
let latencies = [];
let closed = 0;

const socket = connect({ port, host: '127.0.0.1', noDelay: true });
socket.write(loginRequest('honest'));
socket.on('error', () => undefined);
socket.on('close', () => closed++);
socket.once('data', () => {
  process.send({ ready: true });
  const message = event('echo', binary('?'));
  // A frame: two header bytes, and the string: version, tag, length, '?'.
  const replyBytes = 2 + 7;
  let bytes = 0;
  socket.on('data', ({ length }) => {
    for (bytes += length; bytes >= replyBytes && sentAt.length > 0; bytes -= replyBytes)
      latencies.push(performance.now() - sentAt.shift());
  });
  setInterval(() => {
    if (socket.destroyed) return;
    sentAt.push(performance.now());
    socket.write(masked(message));
  }, EVERY_MS);
});

/** Unanswered echoes count with their waiting time so far. */
process.on('message', () => {
  const all = [...latencies, ...sentAt.map((at) => performance.now() - at)].sort((a, b) => a - b);
  const at = (part) => all[Math.min(all.length - 1, Math.floor(all.length * part))] ?? NaN;
  process.send({ echoes: latencies.length, p50: at(0.5), p99: at(0.99), max: at(1), closed });
  latencies = [];
});
