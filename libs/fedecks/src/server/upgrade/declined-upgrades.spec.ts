import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { DeclinedUpgrades } from './declined-upgrades.js';

describe('DeclinedUpgrades', () => {
  let server: Server;
  afterEach(() => server.close());

  it('survives a reset of the connection while its upgrade waits for an earlier response', async () => {
    server = createServer(() => undefined);
    const declined = new DeclinedUpgrades(server);
    server.on('request', (request, response) => declined.onRequest(request, response));
    const waiting = new Promise<Socket>((resolve) => {
      server.on('upgrade', (request, socket, head) => {
        declined.serve(request, socket as Socket, head);
        resolve(socket as Socket);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const peer = connect((server.address() as AddressInfo).port, '127.0.0.1');
    peer.write('GET /a HTTP/1.1\r\nhost: x\r\n\r\n');
    peer.write('GET /b HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n');
    const socket = await waiting;
    // An unhandled 'error' event ends a process, but jest swallows it.
    expect(socket.listenerCount('error')).toBeGreaterThan(0);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    peer.resetAndDestroy();
    await closed;
    expect((socket.errored as NodeJS.ErrnoException).code).toBe('ECONNRESET');
  });
});
