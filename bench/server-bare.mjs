// The baseline: a bare `ws` server that decodes and encodes the same terms, with the minimum for a login:
// it parses the header, and answers a token request with a signed token. With `bytes` it uses no terms
// and no tokens: it echoes the received bytes.
import 'reflect-metadata';
import { createHmac, createSecretKey } from 'node:crypto';
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { decodeTerm, encodeTerm, TOKEN_PLEASE, tuple } from '../libs/fedecks/dist/wire/internal.js';
import { serve } from './server.mjs';

const key = createSecretKey(Buffer.from('a secret of thirty-two bytes, or more'));
const charlist = [...Buffer.from('token')];

function tokenFor(sub) {
  const exp = Math.ceil(Date.now() / 1000) + 28 * 86_400;
  const content = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub, exp })}`;
  return `${content}.${createHmac('sha256', key).update(content).digest('base64url')}`;
}

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

const { length } = TOKEN_PLEASE;

function answerTerms(ws, request) {
  const header = decodeTerm(Buffer.from(request.headers['x-fedecks-auth'], 'base64'));
  ws.on('message', (data) => {
    if (data.length === length && TOKEN_PLEASE.equals(data)) {
      return ws.send(encodeTerm(tuple(charlist, tokenFor(header['fedecks-device-id']))));
    }
    const message = decodeTerm(data);
    ws.send(encodeTerm(answersEvents ? message[1] : message));
  });
}

function answerBytes(ws) {
  ws.on('message', (data) => ws.send(data));
}

const [codec, mode] = process.argv.slice(2);
const answersEvents = mode !== 'any';
const server = createServer();
const websockets = new WebSocketServer({ server, perMessageDeflate: false });
websockets.on('connection', codec === 'bytes' ? answerBytes : answerTerms);
server.listen(0, '127.0.0.1', () => {
  serve(server.address().port, (message) => {
    const bytes = encodeTerm(message);
    for (const ws of websockets.clients) ws.send(codec === 'bytes' ? bytes : encodeTerm(message));
  });
});
