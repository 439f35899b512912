import { type TlsOptions as ServerTls } from 'node:tls';
import { FedecksClient, type FedecksClientOptions, MemoryTokenStore } from '@fedecks/nest/client';
import { type Certificate, Certificates } from './support/certificates.js';
import { ClientLog } from './support/client-log.js';
import { ConnectProxy } from './support/connect-proxy.js';
import { HAS_IPV6, type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';

const certificates = new Certificates();
afterAll(() => certificates.remove());

const ca = certificates.make({ name: 'A CA of our own', isCa: true });
const good = certificates.make({ name: 'localhost', alt: 'DNS:localhost,IP:127.0.0.1,IP:::1', issuer: ca });
const other = certificates.make({ name: 'cloud.internal', issuer: ca });
const elsewhere = certificates.make({ name: 'localhost', alt: 'DNS:localhost,IP:::2', issuer: ca });

let cloud: PhoenixPeer;
let client: FedecksClient;
let log: ClientLog;

/** Starts a client with a stored token, and a cloud with this certificate. */
async function start(
  { key, cert }: Pick<Certificate, 'key' | 'cert'>,
  options: Partial<FedecksClientOptions> = {},
  server: ServerTls & { host?: string } = {},
): Promise<void> {
  const { host = '127.0.0.1', ...tls } = server;
  cloud = await PhoenixPeer.listen({ host, tls: { key, cert, ...tls } });
  client = new FedecksClient({
    url: cloud.url,
    deviceId: 'nerves-242a',
    tokenStore: new MemoryTokenStore('stored-token'),
    startDelayMs: 0,
    closeTimeoutMs: 30,
    tls: { ca: ca.cert },
    ...options,
  });
  log = new ClientLog(client);
  await client.start();
}

async function accept(): Promise<PeerConnection> {
  const device = await cloud.accept();
  device.upgrade();
  await log.until('connected');
  return device;
}

/** The reason of the failed connection; checks that no request was sent. */
async function refusal(): Promise<string> {
  const { reason } = await log.until('connection_failed');
  expect(cloud.waiting).toBe(0);
  return reason;
}

afterEach(async () => {
  await client.stop();
  await cloud.close();
});

describe('a server certificate', () => {
  it('trusts a certificate of the configured CA; offers only HTTP/1.1 by ALPN, even to an HTTP/2 server', async () => {
    await start(good, {}, { ALPNProtocols: ['h2', 'http/1.1'] });
    expect((await accept()).agreed).toEqual({ servername: false, protocol: 'http/1.1', device: undefined });
  });

  (HAS_IPV6 ? it : it.skip)('is checked on an IPv6 address, too', async () => {
    await start(good, {}, { host: '::1' });
    expect(cloud.url).toContain('wss://[::1]:');
    await accept();
  });

  (HAS_IPV6 ? it : it.skip)('for other addresses than an IPv6 one ends the attempt, too', async () => {
    await start(elsewhere, {}, { host: '::1' });
    expect(await refusal()).toContain(
      "the server's certificate is not valid for ::1, only for DNS:localhost, IP Address:0:0:0:0:0:0:0:2",
    );
  });

  it('ends the attempt before it sends anything when the CA is not trusted', async () => {
    await start(good, { tls: {} });
    expect(await refusal()).toContain('certificate');
  });

  it('ends the attempt before it sends anything when the name differs, unless servername is set', async () => {
    await start(other);
    expect(await refusal()).toContain("IP: 127.0.0.1 is not in the cert's list");
    await client.stop();
    await cloud.close();
    await start(other, { tls: { ca: ca.cert, servername: 'cloud.internal' } });
    expect((await accept()).agreed.servername).toBe('cloud.internal');
  });

  it('sends the name in the URL by SNI', async () => {
    await start(good, {}, { host: '127.0.0.1' });
    await accept();
    await client.stop();
    client = new FedecksClient({
      url: `wss://localhost:${cloud.port}/`,
      deviceId: 'nerves-242a',
      tokenStore: new MemoryTokenStore('stored-token'),
      startDelayMs: 0,
      closeTimeoutMs: 30,
      tls: { ca: ca.cert },
    });
    log = new ClientLog(client);
    await client.start();
    expect((await accept()).agreed.servername).toBe('localhost');
  });
});

describe('client certificate', () => {
  const device = certificates.make({ name: 'nerves-242a', issuer: ca });
  const demanding = { requestCert: true, rejectUnauthorized: true, ca: ca.cert };

  it('is presented to a server that requests one', async () => {
    await start(good, { tls: { ca: ca.cert, cert: device.cert, key: device.key } }, demanding);
    expect((await accept()).agreed.device).toBe('nerves-242a');
  });

  it('reports that the server requires one and none is configured', async () => {
    await start(good, {}, demanding);
    // With TLS 1.3 the client finishes its handshake before the server rejects it.
    expect((await log.until('upgrade_failed')).reason).toMatch(
      /; the server requested a client certificate, and the device has none: set 'tls.cert' and 'tls.key'$/,
    );
  });

  it('does not report a missing certificate when the server requested none', async () => {
    await start(good);
    (await cloud.accept()).fin();
    expect((await log.until('upgrade_failed')).reason).not.toContain('certificate');
  });
});

describe('pinned key', () => {
  const spare = certificates.make({ name: 'spare' });
  const stranger = certificates.make({ name: 'stranger', isCa: true });
  const pinned = (...pins: Certificate[]): Partial<FedecksClientOptions> => ({
    tls: { ca: ca.cert, pins: pins.map(({ pin }) => pin) },
  });

  it('accepts a server with this key, or whose certificate this key has signed', async () => {
    await start(good, pinned(spare, good));
    await accept();
    await client.stop();
    await cloud.close();
    await start({ key: good.key, cert: good.cert + ca.cert }, pinned(ca));
    await accept();
  });

  it('rejects other servers before it sends anything, however valid their certificates', async () => {
    await start(good, pinned(spare));
    expect(await refusal()).toBe(
      "the server's certificate is valid, but 'tls.pins' does not contain its key",
    );
  });

  it('ignores a pinned certificate in the chain that did not sign the leaf', async () => {
    await start({ key: good.key, cert: good.cert + stranger.cert }, pinned(stranger));
    expect(await refusal()).toContain("'tls.pins' does not contain its key");
  });
});

describe("certificate outside its validity by the device's clock (§3)", () => {
  const alt = 'DNS:localhost,IP:127.0.0.1';
  const future = certificates.make({
    name: 'localhost',
    alt,
    from: '20900101000000Z',
    to: '21000101000000Z',
  });
  const past = certificates.make({ name: 'localhost', alt, from: '20200101000000Z', to: '20210101000000Z' });

  /** Answers the request for the server's date, which must contain no data of the device. */
  async function answerDate(date: string): Promise<void> {
    const asking = await cloud.accept();
    expect(asking.request.line).toBe('HEAD / HTTP/1.1');
    expect(asking.request.raw).not.toMatch(/fedecks|nerves/);
    asking.write(`HTTP/1.1 404 Not Found\r\n${date && `date: ${date}\r\n`}content-length: 0\r\n\r\n`);
  }

  it("reports a wrong device clock, as in 1970, when the server's clock differs", async () => {
    await start(future, { tls: { ca: future.cert } });
    await answerDate('Fri, 01 Jan 2094 10:00:00 GMT');
    const { reason } = await log.until('connection_failed');
    expect(reason).toMatch(
      /^certificate is not yet valid; it is valid from Jan +1 00:00:00 2090 GMT to Jan +1 00:00:00 2100 GMT; this machine's clock says 20\d\d-.*; the server's clock says 2094-01-01T10:00:00\.000Z: this machine's clock is probably wrong$/,
    );
    expect(client.details.lastError).toContain('clock is probably wrong');
  });

  it("asks to replace the certificate when the server's clock agrees", async () => {
    await start(past, { tls: { ca: past.cert } });
    await answerDate(new Date().toUTCString());
    expect((await log.until('connection_failed')).reason).toMatch(
      /^certificate has expired; .*; the server's clock agrees: replace the certificate$/,
    );
  });

  it('reports both possibilities when the server sends no date', async () => {
    await start(future, { tls: { ca: future.cert } });
    await answerDate('');
    expect((await log.until('connection_failed')).reason).toMatch(/; if that is wrong, set the clock$/);
  });

  it('ends the attempt in time when the server never answers, or the client is stopped', async () => {
    await start(future, { tls: { ca: future.cert } });
    await cloud.accept();
    expect((await log.until('connection_failed')).reason).toMatch(/; if that is wrong, set the clock$/);
    await client.stop();
    await cloud.close();
    await start(future, { tls: { ca: future.cert } });
    const asking = await cloud.accept();
    await client.stop();
    await asking.ended();
  });

  it("asks for the server's date through a proxy, too", async () => {
    const proxy = await ConnectProxy.listen();
    try {
      await start(future, { tls: { ca: future.cert }, proxy: proxy.url });
      await answerDate('Fri, 01 Jan 2094 10:00:00 GMT');
      expect((await log.until('connection_failed')).reason).toContain("the server's clock says 2094");
      expect(proxy.asked.size).toBe(2);
    } finally {
      await proxy.close();
    }
  });
});
