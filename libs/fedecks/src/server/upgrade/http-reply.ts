import { STATUS_CODES } from 'node:http';
import { type Duplex } from 'node:stream';
import { REFUSAL_HEADER } from '../../wire/internal.js';

const LINGER_MS = 1_000;

/** Headers of a reply to an upgrade or a plain request. */
export type ReplyHeaders = Readonly<Record<string, string>>;

/** The headers of a 426: the protocol of this path (RFC 9110 §15.5.22). */
export const UPGRADE_REQUIRED: ReplyHeaders = {
  connection: 'upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
};

/** The headers of a rejection: when to try again, and a reason for devices that understand it. */
export function refusalHeaders({
  retryAfterS,
  reason,
}: {
  readonly retryAfterS?: number;
  readonly reason?: string;
}): ReplyHeaders {
  return {
    ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }),
    ...(reason !== undefined && { [REFUSAL_HEADER]: reason }),
  };
}

/**
 * Replies to an upgrade with a status and no body, in one write, and ends the connection. An Elixir device does
 * not recognize a rejection that has a body or arrives in two reads (PROTOCOL.md §1).
 */
export function reply(socket: Duplex, status: number, headers: ReplyHeaders = {}): void {
  const lines = Object.entries({ connection: 'close', 'content-length': '0', ...headers });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  // Ignores errors: the peer may have disconnected.
  socket.on('error', () => undefined);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${head}\r\n`);
  // Closing with unread data resets the connection, and the peer may lose the reply: read until the peer ends.
  socket.resume();
  const linger = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(linger));
}
