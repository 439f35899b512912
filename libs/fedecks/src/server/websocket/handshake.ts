import { hash } from 'node:crypto';
import { type IncomingMessage } from 'node:http';
import { LIMITS_HEADER, PROTOCOL_2, PROTOCOL_HEADER } from '../../wire/internal.js';

/** RFC 6455 §1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** 16 bytes in Base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const VERSION = '13';

/**
 * The first violation of RFC 6455 §4.2.1 in a request for a websocket, and the status of the answer (PROTOCOL.md §1.6).
 * Undefined if the request is valid.
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
 * The 101 for a request that passed {@link checkHandshake}: no extension, no subprotocol (PROTOCOL.md §1.3).
 * @param limits the value of the header with the limits; without it the 101 has none (PROTOCOL.md §1.9).
 * @param protocol the newest that both sides speak; of version 1 the 101 says nothing (PROTOCOL.md §6.1).
 */
export function acceptHandshake(request: IncomingMessage, limits = '', protocol: 1 | 2 = 1): Buffer {
  const accept = hash('sha1', `${request.headers['sec-websocket-key'] ?? ''}${GUID}`, 'base64');
  return Buffer.from(
    'HTTP/1.1 101 Switching Protocols\r\n' +
      'Upgrade: websocket\r\n' +
      'Connection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept}\r\n` +
      (limits && `${LIMITS_HEADER}: ${limits}\r\n`) +
      (protocol === 2 ? `${PROTOCOL_HEADER}: ${PROTOCOL_2}\r\n` : '') +
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
