/** Error messages of a device for the most common set-up mistakes. */
import { once } from 'node:events';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type Server } from 'node:net';
import { FedecksClient, LoginFailedError, MemoryTokenStore, type TlsOptions } from '@fedecks/nest/client';
import { Certificates } from './support/certificates.js';
import { PASSWORD, startCloud } from './support/cloud.js';

const certificates = new Certificates();
const servers: Server[] = [];
afterEach(async () => {
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
    // The same text without the "Login failed" prefix.
    const { lastError = '' } = client.details;
    expect(message).toContain(lastError.replace(/^\w+: (HTTP status \d+: )?/, ''));
    return message;
  } finally {
    await client.stop();
  }
}

it('says that the server does not speak TLS when the URL has wss', async () => {
  const host = await listening(createHttpServer(page));
  await expect(failure(`wss://${host}/fedecks/websocket`)).resolves.toBe(
    'Login failed: the server could not be reached: the server speaks no TLS at this port: ' +
      'must the URL start with ws:// instead of wss://?',
  );
});

it('says that the server may speak TLS when the URL has ws', async () => {
  const host = await listening(httpsServer());
  await expect(failure(`ws://${host}/fedecks/websocket`)).resolves.toMatch(
    /hang up; if the server speaks TLS at this port, the URL must start with wss:\/\/ instead of ws:\/\/\.$/,
  );
});

it("suggests 'tls.ca' for a self-signed certificate, and connects with it", async () => {
  const { cert, key } = certificates.make({ name: 'localhost' });
  const host = await listening(createHttpsServer({ cert, key }, page));
  const url = `wss://${host.replace('127.0.0.1', 'localhost')}/fedecks/websocket`;
  await expect(failure(url)).resolves.toMatch(
    /: self-signed certificate: no CA that this device trusts has issued .* as 'tls\.ca'\.$/,
  );
  // It was reached, although it is not a cloud.
  await expect(failure(url, { ca: cert })).resolves.toContain('HTTP status 200');
});

it('says that the path may be wrong when a web page is served', async () => {
  const host = await listening(createHttpServer(page));
  await expect(failure(`ws://${host}/fedecks/websocket`)).resolves.toBe(
    'Login failed: the server refused with HTTP status 200: an ordinary page, and no endpoint: ' +
      'is the path of the URL right (such as /fedecks/websocket), or is there a captive portal?',
  );
});

it.each([
  [301, /redirects are not followed/],
  [400, /must start with wss:\/\//],
  [401, /captive portal on the way has refused, and not the cloud/],
  [502, /the proxy before the cloud does not reach it/],
])('explains the HTTP status %i of an intermediary', async (status, words) => {
  const host = await listening(
    createHttpServer((_request, response) => {
      response.writeHead(status, { location: 'https://cloud.example.com/' }).end('a body');
    }),
  );
  await expect(failure(`ws://${host}/fedecks/websocket`)).resolves.toMatch(words);
});

describe('a failed login', () => {
  it('says that the cloud rejects a wrong password', async () => {
    const cloud = await startCloud();
    await expect(failure(`ws://127.0.0.1:${cloud.port}/fedecks/websocket`, undefined, 'wrong')).resolves.toBe(
      'Login failed: the server refused with HTTP status 403: the cloud refuses these credentials or this token: ' +
        'are they right, and those of this device id? Its log says why.',
    );
    await cloud.close();
  });

  it.each(['/fedecks', '/websocket', '/fedeks/websocket'])(
    'says that the cloud has no endpoint at a wrong path: %s',
    async (path) => {
      const cloud = await startCloud();
      await expect(failure(`ws://127.0.0.1:${cloud.port}${path}`)).resolves.toMatch(
        /HTTP status 404: there is no endpoint at this path: it is the 'path' of FedecksModule and \/websocket/,
      );
      await cloud.close();
    },
  );
});
