// Upgrade requests, valid and invalid.

import { authHeader } from './auth-text.mjs';

const LOGIN = authHeader({ 'fedecks-device-id': 'd', password: 'x' });
/** An invalid token. */
const TOKEN = authHeader({ 'fedecks-device-id': 'd', 'fedecks-token': 'a.b.c' });

const FIELDS = {
  host: 'x',
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'x-fedecks-auth': LOGIN,
};

function request(changes = {}, { line = 'GET /fedecks/websocket HTTP/1.1', after = '' } = {}) {
  const lines = Object.entries({ ...FIELDS, ...changes })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}`);
  return Buffer.from([line, ...lines, '', after].join('\r\n'), 'latin1');
}

export const requestSeeds = [
  request(),
  request({ 'x-fedecks-auth': TOKEN }),
  request({ 'x-fedecks-auth': undefined }),
  request({ 'x-fedecks-auth': 'not base64' }),
  request({ 'x-fedecks-auth': 'A'.repeat(1_100) }),
  request({ 'x-fedecks-auth': `${LOGIN}\r\nx-fedecks-auth: ${TOKEN}` }),
  request({ upgrade: undefined, connection: 'keep-alive' }),
  request({ upgrade: 'h2c', connection: 'Upgrade, HTTP2-Settings' }),
  request({ 'sec-websocket-version': '8' }),
  request({ 'sec-websocket-key': undefined }),
  request({ 'sec-websocket-protocol': 'a, b', 'sec-websocket-extensions': 'permessage-deflate' }),
  request({ 'x-forwarded-for': '10.0.0.1, [::1]:80', forwarded: 'for=x', origin: 'http://x' }),
  request({ 'content-length': '4' }, { after: 'body' }),
  request({ 'transfer-encoding': 'chunked' }, { after: '4\r\nbody\r\n0\r\n\r\n' }),
  request({ expect: '100-continue' }),
  request({}, { line: 'GET /fedecks/websocket/?vsn=2.0.0 HTTP/1.1' }),
  request({}, { line: 'POST /fedecks/websocket HTTP/1.1' }),
  request({}, { line: 'GET http://x/fedecks/websocket HTTP/1.0' }),
  request({}, { line: 'GET /%ff/websocket HTTP/1.1' }),
  request({}, { line: 'CONNECT x:80 HTTP/1.1' }),
  request({}, { line: 'GET / HTTP/1.1' }),
  request({}, { after: '\x82\x80\x00\x00\x00\x00' }),
  Buffer.concat([request({ upgrade: undefined }), request()]),
];

export const requestDictionary = [
  '\r\n',
  '\r\n\r\n',
  '\n',
  '\0',
  '%',
  '%00',
  '//',
  '/../',
  '?',
  '#',
  ', ',
  '==',
  LOGIN,
  TOKEN,
  'g1AAAAABeJw=',
  'g3QAAAAA',
  ...Object.entries({
    ...FIELDS,
    connection: 'keep-alive, Upgrade',
    upgrade: 'h2c',
    'content-length': '99999999999',
    'transfer-encoding': 'chunked',
    expect: '100-continue',
    'x-forwarded-for': '1.2.3.4:5',
    'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits',
    te: 'trailers',
  }).map(([name, value]) => `${name}: ${value}\r\n`),
].map((text) => Buffer.from(text, 'latin1'));
