import { STATUS_CODES } from 'node:http';
import { type Duplex } from 'node:stream';

const LINGER_MS = 1_000;

/**
 * Answers an upgrade with a status and no body, in one write, and ends the connection: a body, or a response in
 * two reads, is not recognised as a refusal by every device (PROTOCOL.md §1).
 */
export function answer(socket: Duplex, status: number, headers: Readonly<Record<string, string>> = {}): void {
  const lines = Object.entries({ connection: 'close', 'content-length': '0', ...headers });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  // A peer that went away meanwhile is nobody's concern.
  socket.on('error', () => undefined);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${head}\r\n`);
  // To close with unread data resets the connection, and the peer may never see the answer: read until it ends.
  socket.resume();
  const linger = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(linger));
}
