import { hash } from 'node:crypto';
import { type IncomingMessage } from 'node:http';
import { LIMITS_HEADER } from '../../wire/internal.js';

/** RFC 6455 §1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** 16 bytes in Base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const VERSION = '13';

/**
 * What keeps a request from becoming a websocket (RFC 6455 §4.2.1), and the status to answer with (PROTOCOL.md §1.6).
 * Undefined if nothing does.
 */
export function checkHandshake(
  request: IncomingMessage,
): { readonly status: number; readonly problem: string } | undefined {
  const { method, headers } = request;
  if (headers.upgrade?.toLowerCase() !== 'websocket') {
    return { status: 426, problem: "'upgrade' is not 'websocket'" };
  }
  if (headers['sec-websocket-version'] !== VERSION) {
    return { status: 426, problem: `'sec-websocket-version' is not ${VERSION}` };
  }
  if (method !== 'GET') return { status: 400, problem: 'the method is not GET' };
  if (!hasUpgrade(headers.connection)) return { status: 400, problem: "'connection' has no 'upgrade'" };
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) {
    return { status: 400, problem: "'sec-websocket-key' is not 16 bytes in Base64" };
  }
  return undefined;
}

/**
 * The 101 for a request that {@link checkHandshake} has passed: no extension, no subprotocol (PROTOCOL.md §1.3).
 * @param limits the value of the header with the limits; without it the 101 has none (PROTOCOL.md §1.9).
 */
export function acceptHandshake(request: IncomingMessage, limits = ''): Buffer {
  const accept = hash('sha1', `${request.headers['sec-websocket-key'] ?? ''}${GUID}`, 'base64');
  return Buffer.from(
    'HTTP/1.1 101 Switching Protocols\r\n' +
      'Upgrade: websocket\r\n' +
      'Connection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept}\r\n` +
      (limits && `${LIMITS_HEADER}: ${limits}\r\n`) +
      '\r\n',
    'latin1',
  );
}

function hasUpgrade(connection: string | undefined): boolean {
  return (
    connection
      ?.toLowerCase()
      .split(',')
      .some((token) => token.trim() === 'upgrade') ?? false
  );
}
