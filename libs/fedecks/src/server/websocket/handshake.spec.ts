import { type IncomingMessage } from 'node:http';
import { acceptHandshake, checkHandshake } from './handshake.js';

type Request = Pick<IncomingMessage, 'method' | 'headers'>;

const GOOD: Request = {
  method: 'GET',
  headers: {
    host: 'cloud.example.com',
    connection: 'upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  },
};

function request(changes: Partial<Request> = {}, headers: IncomingMessage['headers'] = {}): IncomingMessage {
  return { ...GOOD, ...changes, headers: { ...GOOD.headers, ...headers } } as IncomingMessage;
}

describe('checkHandshake', () => {
  it.each<[string, IncomingMessage]>([
    ['a good request', request()],
    ['upper case', request({}, { upgrade: 'WebSocket', connection: 'Upgrade' })],
    ['other tokens in connection', request({}, { connection: 'keep-alive, Upgrade' })],
    ['offers of extensions and subprotocols', request({}, { 'sec-websocket-protocol': 'a,a' })],
  ])('accepts %s', (_, good) => {
    expect(checkHandshake(good)).toBeUndefined();
  });

  it.each<[string, number, IncomingMessage]>([
    ['no upgrade', 426, request({}, { upgrade: undefined })],
    ['an upgrade to h2c', 426, request({}, { upgrade: 'h2c' })],
    ['no version', 426, request({}, { 'sec-websocket-version': undefined })],
    ['version 8', 426, request({}, { 'sec-websocket-version': '8' })],
    ['version 13 twice', 426, request({}, { 'sec-websocket-version': '13, 13' })],
    ['a POST', 400, request({ method: 'POST' })],
    ['no connection', 400, request({}, { connection: undefined })],
    ['a connection without upgrade', 400, request({}, { connection: 'keep-alive, upgraded' })],
    ['no key', 400, request({}, { 'sec-websocket-key': undefined })],
    ['a short key', 400, request({}, { 'sec-websocket-key': 'c2hvcnQ=' })],
    ['a key that is not Base64', 400, request({}, { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZ!==' })],
    ['a key with more behind it', 400, request({}, { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==x' })],
  ])('rejects %s with %i and a reason', (_, status, bad) => {
    expect(checkHandshake(bad)).toEqual({ status, problem: expect.any(String) as string });
  });
});

describe('acceptHandshake', () => {
  it('contains the Sec-WebSocket-Accept of RFC 6455 §1.3 for its key, and no extra header (§1.3)', () => {
    const offering = request({}, { 'sec-websocket-protocol': 'chat', 'sec-websocket-extensions': 'x' });
    expect(acceptHandshake(offering).toString('latin1')).toBe(
      'HTTP/1.1 101 Switching Protocols\r\n' +
        'Upgrade: websocket\r\n' +
        'Connection: Upgrade\r\n' +
        'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
    );
  });

  it('appends one header with the limits after all others (§1.9)', () => {
    const [plain, limited] = [acceptHandshake(request()), acceptHandshake(request(), 'frames-per-second=5')];
    expect(limited.toString('latin1')).toBe(
      plain.toString('latin1').replace(/\r\n$/, 'x-fedecks-limits: frames-per-second=5\r\n\r\n'),
    );
  });
});
