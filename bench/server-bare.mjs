// The floor: a bare `ws` server that reads and writes the same terms, in a process that has loaded the same Nest app.
import 'reflect-metadata';
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { decodeTerm, encodeTerm } from '../libs/fedecks/dist/wire/index.js';
import { serve } from './server.mjs';

const server = createServer();
const websockets = new WebSocketServer({ server, perMessageDeflate: false });
websockets.on('connection', (ws) => {
  ws.on('message', (data) => {
    // The load asks for a token, as a device does: here nobody has one.
    if (data.length === 16) return;
    ws.send(encodeTerm(decodeTerm(data)));
  });
});
server.listen(0, '127.0.0.1', () => {
  serve(server.address().port, (message) => {
    for (const ws of websockets.clients) ws.send(encodeTerm(message));
  });
});
