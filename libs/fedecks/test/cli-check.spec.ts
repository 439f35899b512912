import { createServer, type Server } from 'node:http';
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server as TcpServer,
  type Socket,
} from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { type Certificate, Certificates } from './support/certificates.js';
import { type Cloud, PASSWORD, startCloud } from './support/cloud.js';
import { ConnectProxy } from './support/connect-proxy.js';
import { FedecksCli, type Outcome, type RunOptions } from './support/fedecks-cli.js';

const PATH = '/fedecks/websocket';
const ID = 'poke-1';
const CREDENTIALS = JSON.stringify({ password: PASSWORD });

const certificates = new Certificates();
const ca = certificates.make({ name: 'A CA of our own', isCa: true });
const good = certificates.make({ name: 'localhost', alt: 'DNS:localhost,IP:127.0.0.1', issuer: ca });
const other = certificates.make({ name: 'cloud.internal', issuer: ca });
const alone = certificates.make({ name: 'localhost' });
const expired = certificates.make({
  name: 'localhost',
  issuer: ca,
  from: '20200101000000Z',
  to: '20200201000000Z',
});

let cli: FedecksCli;
let cloud: Cloud;
const servers = new Set<Server | TcpServer | TlsServer>();
const sockets = new Set<Socket>();

beforeAll(async () => {
  cli = await FedecksCli.compile();
  cloud = await startCloud();
}, 60_000);

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  servers.clear();
});

afterAll(async () => {
  await cloud.close();
  cli.remove();
  certificates.remove();
});

async function listen(server: Server | TcpServer | TlsServer): Promise<number> {
  servers.add(server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** A reverse proxy that terminates TLS for the cloud. */
function tlsBefore({ key, cert }: Certificate): Promise<number> {
  const server = createTlsServer({ key, cert }, (device) => {
    const inner = connect({ host: '127.0.0.1', port: cloud.port });
    for (const socket of [device, inner]) socket.on('error', () => undefined);
    device.once('close', () => inner.destroy());
    device.pipe(inner).pipe(device);
  });
  server.on('tlsClientError', () => undefined);
  return listen(server);
}

/** A web server that answers an upgrade request with this. */
function answering(status: number, headers: Record<string, string> = {}, body = ''): Promise<number> {
  const server = createServer();
  server.on('upgrade', (_request, socket) => {
    const head = Object.entries({ 'content-length': String(body.length), connection: 'close', ...headers });
    socket.end(
      `HTTP/1.1 ${status} Any\r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`,
    );
  });
  return listen(server);
}

function check(url: string, args: readonly string[] = [], options: RunOptions = {}): Promise<Outcome> {
  return cli.run(['check', url, ...args], options);
}

function here(port: number, scheme = 'ws'): string {
  return `${scheme}://127.0.0.1:${port}${PATH}`;
}

describe('fedecks check', () => {
  it('exits with 0 at a cloud that rejects the unauthenticated upgrade', async () => {
    const { code, stdout } = await check(here(cloud.port));
    expect(stdout).toContain(`tcp      ok      connected to 127.0.0.1:${cloud.port}`);
    expect(stdout).toContain('upgrade  ok      a fedecks cloud answers');
    expect(code).toBe(0);
  });

  it('exits with 0 when the TLS certificate is signed by the given CA', async () => {
    const port = await tlsBefore(good);
    const { code, stdout } = await check(`wss://localhost:${port}${PATH}`, ['--ca', ca.certFile]);
    expect(stdout).toMatch(/dns {6}ok {6}localhost is .*127\.0\.0\.1/);
    expect(stdout).toMatch(
      /tls {6}ok {6}TLSv1.3, certificate for DNS:localhost, IP Address:127.0.0.1, valid until/,
    );
    expect(code).toBe(0);
  });

  it('presents credentials, reports whether the cloud accepts them, and prints none', async () => {
    const args = ['--id', ID, '--login'];
    const accepted = await check(here(cloud.port), args, { input: CREDENTIALS });
    expect(accepted.stdout).toContain('the cloud accepts the credentials');
    expect(accepted.code).toBe(0);
    const refused = await check(here(cloud.port), args, { input: '{"password":"hunter2"}' });
    expect(refused.stdout).toContain('upgrade  FAILED  HTTP status 403 without a body');
    expect(refused.stdout).toContain('The cloud rejects the credentials');
    expect(refused.stdout + refused.stderr).not.toContain('hunter2');
    expect(refused.code).toBe(8);
  });

  it('presents the stored token, which the cloud accepts until it is revoked', async () => {
    expect(await check(here(cloud.port), ['--id', ID])).toMatchObject({ code: 1, stdout: '' });
    await cli.run(['login', here(cloud.port), '--id', ID], { input: CREDENTIALS });
    const accepted = await check(here(cloud.port), ['--id', ID]);
    expect(accepted.stdout).toContain('the cloud accepts the token');
    expect(accepted.code).toBe(0);
    await cloud.fedecks.revoke(ID);
    const refused = await check(here(cloud.port), ['--id', ID]);
    expect(refused.stdout).toContain('The cloud rejects the token');
    expect(refused.code).toBe(8);
  });

  it('exits with 3 when the name does not resolve', async () => {
    const { code, stdout } = await check('wss://cloud.invalid/fedecks/websocket');
    expect(stdout).toMatch(/^dns {6}FAILED .*cloud\.invalid/);
    expect(code).toBe(3);
  });

  it('ends in time where no name server answers', async () => {
    const hang = `import dns from 'node:dns/promises'; import { syncBuiltinESMExports } from 'node:module';
      dns.lookup = () => new Promise((resolve) => setTimeout(resolve, 60_000)); syncBuiltinESMExports();`;
    const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(hang)}`;
    const args = ['--timeout', '0.3'];
    const { code, stdout } = await check('wss://cloud.example.com/', args, { env: { NODE_OPTIONS } });
    expect(stdout).toContain(
      'dns      FAILED  the name server does not answer for cloud.example.com (TIMEOUT)',
    );
    expect(code).toBe(3);
  });

  it('ends with 4 at a port that refuses', async () => {
    const port = await answering(200);
    await new Promise((resolve) => [...servers][0]?.close(resolve));
    servers.clear();
    const { code, stdout } = await check(here(port));
    expect(stdout).toContain(`tcp      FAILED  no connection: 127.0.0.1:${port} ECONNREFUSED`);
    expect(stdout).toContain(`Nothing listens on port ${port} there`);
    expect(code).toBe(4);
  });

  it.each<[string, () => Promise<number>, string[], string]>([
    ['a port without TLS', () => Promise.resolve(cloud.port), [], 'the port does not speak TLS'],
    [
      'a certificate for another name',
      () => tlsBefore(other),
      ['--ca', ca.certFile],
      'is not valid for 127.0.0.1',
    ],
    ['a self-signed certificate', () => tlsBefore(alone), [], 'does not trust the issuer'],
    ['an unknown CA', () => tlsBefore(good), [], 'no chain leads from the certificate to a CA'],
    ['an expired certificate', () => tlsBefore(expired), ['--ca', ca.certFile], 'has expired'],
  ])('exits with 6 at %s', async (_what, start, args, message) => {
    const { code, stdout } = await check(here(await start(), 'wss'), args);
    expect(stdout).toMatch(/tls {6}FAILED/);
    expect(stdout).toContain(message);
    expect(code).toBe(6);
  });

  it.each<[string, () => Promise<number>, string]>([
    [
      'a web page',
      () => answering(200, { 'content-type': 'text/html' }, '<html>'),
      'A web page or an API answers',
    ],
    [
      'a proxy that requires a login',
      () => answering(401, {}, 'Who?'),
      'HTTP status 401: a proxy, firewall or captive portal',
    ],
    [
      'a firewall',
      () => answering(403, { server: 'Wall' }, 'No'),
      'HTTP status 403: a proxy, firewall or captive portal',
    ],
    [
      'a redirect',
      () => answering(302, { location: 'https://new.example.com/x' }),
      'use: wss://new.example.com/x',
    ],
    ['a proxy that drops the upgrade header', () => answering(426), 'proxy_set_header Upgrade'],
    ['an overload', () => answering(503, { 'retry-after': '7' }), 'try again in 7 s'],
    ['a reverse proxy without an app', () => answering(502), 'the reverse proxy cannot reach the cloud'],
    [
      'nginx at a TLS port',
      () => answering(400, {}, 'The plain HTTP request was sent to HTTPS port'),
      'wss://',
    ],
    ['a TLS port', () => tlsBefore(good), 'Start the URL with wss:// instead of ws://.'],
    [
      'a server that does not speak HTTP',
      () => listen(createTcpServer((socket) => socket.on('error', () => undefined).end('SSH-2.0-any\r\n'))),
      'the server does not answer in HTTP',
    ],
  ])('exits with 7 at %s, and says what to do', async (_what, start, message) => {
    const { code, stdout } = await check(here(await start()));
    expect(stdout).toContain('upgrade  FAILED');
    expect(stdout).toContain(message);
    expect(code).toBe(7);
  });

  it('exits with 7 when no endpoint has this path', async () => {
    const { code, stdout } = await check(`ws://127.0.0.1:${cloud.port}/nothing`);
    expect(stdout).toContain('The server has no endpoint at /nothing');
    expect(stdout).toContain('usually /fedecks/websocket');
    expect(code).toBe(7);
  });

  it('exits with 7 when the server does not answer in time', async () => {
    const port = await listen(createTcpServer((socket) => socket.on('error', () => undefined).resume()));
    const { code, stdout } = await check(here(port), ['--timeout', '0.3']);
    expect(stdout).toContain('upgrade  FAILED  no answer within 0.3 s');
    expect(code).toBe(7);
  });

  describe('through a proxy', () => {
    let proxy: ConnectProxy;
    beforeEach(async () => {
      proxy = await ConnectProxy.listen();
    });
    afterEach(() => proxy.close());

    /** Linux connects 0.0.0.0 to this machine, but `check` does not treat it as loopback, so it uses the proxy. */
    const url = (): string => `ws://0.0.0.0:${cloud.port}${PATH}`;
    const env = (): NodeJS.ProcessEnv => ({ http_proxy: proxy.url.replace('//', '//user:hunter2@') });

    it('exits with 0 when the proxy connects', async () => {
      const { code, stdout } = await check(url(), [], { env: env() });
      expect(await proxy.asked.next()).toEqual({
        authority: `0.0.0.0:${cloud.port}`,
        authorization: `Basic ${Buffer.from('user:hunter2').toString('base64')}`,
      });
      expect(stdout).toContain(`proxy    ok      it connects to 0.0.0.0:${cloud.port}`);
      expect(stdout).toContain('All steps succeeded.');
      expect(stdout).not.toContain('hunter2');
      expect(code).toBe(0);
    });

    it.each([
      [407, 'The proxy requires a login'],
      [403, 'does not allow'],
      [502, 'cannot reach'],
    ])('exits with 5 when the proxy answers %p', async (status, message) => {
      proxy.answer = status;
      const { code, stdout, stderr } = await check(url(), [], { env: env() });
      expect(stdout).toContain(`proxy    FAILED  it answers CONNECT with HTTP status ${status}`);
      expect(stdout).toContain(message);
      expect(stdout + stderr).not.toContain('hunter2');
      expect(code).toBe(5);
    });

    it('exits with 5 when the proxy is unreachable', async () => {
      const { code, stdout } = await check(url(), [], { env: { http_proxy: 'http://127.0.0.1:1' } });
      expect(stdout).toContain('proxy    FAILED  no connection: 127.0.0.1:1 ECONNREFUSED');
      expect(code).toBe(5);
    });

    it('does not use the proxy for loopback addresses', async () => {
      const { code } = await check(here(cloud.port), [], { env: { http_proxy: 'http://127.0.0.1:1' } });
      expect(code).toBe(0);
    });
  });

  it('exits with 130 at Ctrl-C', async () => {
    const connected = new Promise<void>((resolve) => {
      void listen(
        createTcpServer((socket) => {
          socket.on('error', () => undefined).resume();
          resolve();
        }),
      );
    });
    const [server] = servers;
    await new Promise((resolve) => server?.once('listening', resolve));
    const app = cli.start(['check', here((server?.address() as AddressInfo).port)]);
    await connected;
    app.kill('SIGINT');
    expect(await app.exited(5_000)).toMatchObject({ code: 130, signal: null });
    expect(app.stderr).toBe('fedecks: Cancelled.\n');
  });

  it.each(['http://localhost:3000/x', 'localhost', 'ws://user:hunter2@localhost/'])(
    'rejects the URL %s with exit status 2',
    async (url) => {
      const { code, stderr } = await check(url);
      expect(stderr).toContain('The URL must');
      expect(stderr).not.toContain('hunter2');
      expect(code).toBe(2);
    },
  );
});
