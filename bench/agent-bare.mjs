// The baseline: the minimal Node process that keeps one `ws` connection open.
import { WebSocket } from 'ws';

const { URL: url, HEADER: header } = process.env;
const socket = new WebSocket(url, { headers: { 'x-fedecks-auth': header }, perMessageDeflate: false });
socket.once('open', () => {
  console.log('Connected');
  setInterval(() => socket.ping('bare-1'), 19_000);
});
