/** Error messages of a device for the most common set-up mistakes. */
import { once } from 'node:events';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type Server } from 'node:net';
import { inspect } from 'node:util';
import { FedecksClient, LoginFailedError, MemoryTokenStore, type TlsOptions } from '@fedecks/nest/client';
import { Certificates } from './support/certificates.js';
import { type Cloud, PASSWORD, startCloud } from './support/cloud.js';
import { eventually } from './support/eventually.js';

const certificates = new Certificates();
const servers: Server[] = [];
const clients: FedecksClient[] = [];
let cloud: Cloud | undefined;
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.stop()));
  await cloud?.close();
  cloud = undefined;
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});
afterAll(() => certificates.remove());

const page: RequestListener = (_request, response) => {
  response.setHeader('content-type', 'text/html').end('<!doctype html><title>Greenhouse</title>');
};

async function listening(server: Server): Promise<string> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

function httpsServer(): Server {
  const { cert, key } = certificates.make({ name: 'localhost' });
  return createHttpsServer({ cert, key }, page);
}

/** The error of a failed login, and the client's last error. */
async function failure(url: string, tls?: TlsOptions, password = PASSWORD): Promise<string> {
  const client = new FedecksClient({
    url,
    deviceId: 'nerves-242a',
    tokenStore: new MemoryTokenStore(),
    closeTimeoutMs: 50,
    ...(tls && { tls }),
  });
  try {
    const error = await client.login({ password }).catch((thrown: unknown) => thrown as Error);
    expect(error).toBeInstanceOf(LoginFailedError);
    const { message } = error as Error;
    // The same text, after "Login failed: ".
    const { lastError = '' } = client.details;
    expect(message.toLowerCase()).toContain(lastError.toLowerCase());
    return message;
  } finally {
    await client.stop();
  }
}

it('says that the server does not speak TLS when the URL has wss', async () => {
  const host = await listening(createHttpServer(page));
  await expect(failure(`wss://${host}/fedecks/websocket`)).resolves.toBe(
    'Login failed: the server could not be reached: the server does not speak TLS on this port: ' +
      'check the port, or start the URL with ws:// instead of wss://.',
  );
});

it('says that the server may speak TLS when the URL has ws', async () => {
  const host = await listening(httpsServer());
  await expect(failure(`ws://${host}/fedecks/websocket`)).resolves.toMatch(
    /hang up; if the server speaks TLS on this port, start the URL with wss:\/\/ instead of ws:\/\/\.$/,
  );
});

it('says so too where the server answers in TLS that it wants TLS', async () => {
  const alert = Buffer.from([0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46]);
  const host = await listening(
    createServer((socket) => void socket.on('error', () => undefined).once('data', () => socket.end(alert))),
  );
  await expect(failure(`ws://${host}/fedecks/websocket`)).resolves.toMatch(
    /; if the server speaks TLS on this port, start the URL with wss:\/\/ instead of ws:\/\/\.$/,
  );
});

it("names 'tls.ca' for a self-signed certificate, and it helps", async () => {
  const { cert, key } = certificates.make({ name: 'localhost' });
  const host = await listening(createHttpsServer({ cert, key }, page));
  const url = `wss://${host.replace('127.0.0.1', 'localhost')}/fedecks/websocket`;
  await expect(failure(url)).resolves.toMatch(
    /: self-signed certificate: this device does not trust the issuer .* set 'tls\.ca' to that certificate\.$/,
  );
  // It was reached, although it is not a cloud.
  await expect(failure(url, { ca: cert })).resolves.toContain('HTTP status 200');
});

it('says that the path may be wrong when a web page is served', async () => {
  const host = await listening(createHttpServer(page));
  await expect(failure(`ws://${host}/fedecks/websocket`)).resolves.toBe(
    'Login failed: the server refused with HTTP status 200: an ordinary page instead of a websocket: ' +
      'check the path of the URL (for example /fedecks/websocket), and whether a captive portal answers.',
  );
});

it.each([
  [301, /does not follow redirects/],
  [400, /start the URL with wss:\/\//],
  [401, /captive portal rejected the request, not the cloud/],
  [403, /captive portal rejected the request, not the cloud/],
  [407, /the proxy requires a user name and a password/],
  [426, /a proxy has removed the websocket upgrade/],
  [429, /too many requests from this address/],
  [503, /accepts no more devices for now/],
  [504, /gets no answer from the cloud/],
  [502, /the reverse proxy cannot reach the cloud/],
])('explains the HTTP status %i of an intermediary', async (status, words) => {
  const host = await listening(
    createHttpServer((_request, response) => {
      response.writeHead(status, { location: 'https://cloud.example.com/' }).end('a body');
    }),
  );
  await expect(failure(`ws://${host}/fedecks/websocket`)).resolves.toMatch(words);
});

it('says why nothing was sent to who sends and listens to no event', async () => {
  const host = await listening(createHttpServer(page));
  const url = `ws://${host}/fedecks/websocket`;
  const client = new FedecksClient({ url, deviceId: 'nerves-242a', tokenStore: new MemoryTokenStore('x') });
  await expect(client.send('temperature', 1)).rejects.toThrow(
    "Nothing was sent: the client is not connected (unregistered). Wait for the event 'connected'.",
  );
  clients.push(client);
  await client.start();
  await eventually(
    () => client.details.lastError,
    (lastError) => lastError !== undefined,
  );
  await expect(client.send('temperature', 1)).rejects.toThrow(
    /^Nothing was sent: the client is not connected \(connection_scheduled\. The server refused with HTTP status 200: an ordinary page/,
  );
});

describe('a cloud', () => {
  it('is said to refuse a wrong password', async () => {
    const cloud = await startCloud();
    await expect(failure(`ws://127.0.0.1:${cloud.port}/fedecks/websocket`, undefined, 'wrong')).resolves.toBe(
      'Login failed: the server refused with HTTP status 403: the cloud rejected the credentials or the token: ' +
        'check that they belong to this device id; the log of the cloud gives the reason.',
    );
    await cloud.close();
  });

  it('is not in what a log shows of a client: neither password nor token', async () => {
    cloud = await startCloud();
    const tokenStore = new MemoryTokenStore();
    const url = `ws://127.0.0.1:${cloud.port}/fedecks/websocket`;
    const client = new FedecksClient({ url, deviceId: 'nerves-242a', tokenStore });
    clients.push(client);
    await client.login({ password: PASSWORD });
    const token = await tokenStore.load();
    for (const each of [client, tokenStore]) {
      const shown = inspect({ each }, { depth: Infinity, showHidden: true }) + JSON.stringify({ each });
      for (const secret of [token!, PASSWORD]) {
        expect(shown).not.toContain(secret);
        // As it is in the header of the upgrade, at any of three places of its bytes.
        for (const before of ['', 'x', 'xx'])
          expect(shown).not.toContain(
            Buffer.from(before + secret)
              .toString('base64')
              .slice(4, -4),
          );
      }
    }
    expect(inspect(client)).toMatch(/^FedecksClient \{\n? +state: 'connected'/);
  });

  it.each(['/fedecks', '/websocket', '/fedeks/websocket'])(
    'says that the cloud has no endpoint at a wrong path: %s',
    async (path) => {
      const cloud = await startCloud();
      await expect(failure(`ws://127.0.0.1:${cloud.port}${path}`)).resolves.toMatch(
        /HTTP status 404: the server has no endpoint at this path: use the 'path' of FedecksModule followed by \/websocket/,
      );
      await cloud.close();
    },
  );
});
