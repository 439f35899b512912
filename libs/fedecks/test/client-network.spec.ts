import dns from 'node:dns';
import { jest } from '@jest/globals';
import {
  FedecksClient,
  type FedecksClientOptions,
  MemoryTokenStore,
  proxyFromEnvironment,
} from '@fedecks/nest/client';
import { BlackHole } from './support/black-hole.js';
import { Certificates } from './support/certificates.js';
import { ClientLog } from './support/client-log.js';
import { ConnectProxy } from './support/connect-proxy.js';
import { HAS_IPV6, type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';

let client: FedecksClient;
let log: ClientLog;
const clouds: PhoenixPeer[] = [];
let cloud: PhoenixPeer;

async function listen(options: Parameters<typeof PhoenixPeer.listen>[0] = {}): Promise<PhoenixPeer> {
  const listening = await PhoenixPeer.listen(options);
  clouds.push(listening);
  return listening;
}

/** Starts a client with a stored token and short delays. */
async function start(options: Partial<FedecksClientOptions> = {}): Promise<void> {
  client = new FedecksClient({
    url: cloud.url,
    deviceId: 'nerves-242a',
    tokenStore: new MemoryTokenStore('stored-token'),
    startDelayMs: 0,
    retryMinMs: 1,
    retryMaxMs: 20,
    closeTimeoutMs: 30,
    ...options,
  });
  log = new ClientLog(client);
  await client.start();
}

async function accept(from = cloud): Promise<PeerConnection> {
  const device = await from.accept();
  device.upgrade();
  await log.until('connected');
  return device;
}

beforeEach(async () => {
  cloud = await listen();
});

afterEach(async () => {
  jest.restoreAllMocks();
  await client.stop();
  for (const each of clouds.splice(0)) await each.close();
});

describe('several urls', () => {
  it('tries them in order, and prefers the one that works', async () => {
    const refusing = await listen();
    const gone = await PhoenixPeer.listen();
    await gone.close();
    await start({ url: [gone.url, refusing.url, cloud.url] });
    await log.until('connection_failed');
    (await refusing.accept()).refuse(503);
    const device = await accept();
    device.fin();
    await log.until('connection_lost');
    await accept();
    expect(refusing.waiting).toBe(0);
  });

  it('starts again with the first when all have failed', async () => {
    const second = await listen();
    await start({ url: [cloud.url, second.url] });
    (await cloud.accept()).refuse(500);
    (await second.accept()).refuse(500);
    expect((await log.until('connecting')).url).toBe(cloud.url);
    await accept();
  });

  it('falls over to the next URL when the first accepts and closes', async () => {
    const second = await listen();
    await start({ url: [cloud.url, second.url] });
    for (let time = 0; time < 4; time++) (await accept()).fin();
    await accept(second);
  });
});

describe('DNS name in the URL', () => {
  type Lookup = (
    host: string,
    options: unknown,
    done: (error: Error | null, addresses: unknown) => void,
  ) => void;

  /** From now on the name resolves to these addresses. */
  function resolveTo(...addresses: string[]): void {
    const answer: Lookup = (_host, _options, done) => {
      if (addresses.length === 0)
        done(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), []);
      else
        done(
          null,
          addresses.map((address) => ({ address, family: 4 })),
        );
    };
    jest.spyOn(dns, 'lookup').mockImplementation(answer as unknown as typeof dns.lookup);
  }

  it('looks it up at each attempt, so that a device finds a cloud that has moved', async () => {
    const moved = await listen({ host: '127.0.0.2', port: cloud.port });
    resolveTo('127.0.0.1');
    await start({ url: `ws://cloud.example.com:${cloud.port}/` });
    const device = await accept();
    resolveTo();
    device.fin();
    expect((await log.until('connection_failed')).reason).toContain('ENOTFOUND');
    resolveTo('127.0.0.2');
    await accept(moved);
  });

  it('tries the next address when one fails', async () => {
    resolveTo('127.0.0.3', '127.0.0.1');
    await start({ url: `ws://cloud.example.com:${cloud.port}/` });
    await accept();
    resolveTo('127.0.0.3', '127.0.0.4');
    await client.stop();
    await start({ url: `ws://cloud.example.com:${cloud.port}/` });
    const { reason } = await log.until('connection_failed');
    expect(reason).toContain(`127.0.0.3:${cloud.port}`);
    expect(reason).toContain(`127.0.0.4:${cloud.port}`);
  });

  it("shares the attempt's time among five addresses of which four never answer", async () => {
    const dead = ['127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6'];
    const holes = await Promise.all(dead.map((address) => BlackHole.at(address, cloud.port)));
    try {
      resolveTo(...dead, '127.0.0.1');
      await start({ url: `ws://cloud.example.com:${cloud.port}/`, phaseTimeoutMs: 6_000 });
      (await cloud.accept(10_000)).upgrade();
      for (const type of ['connection_scheduled', 'connecting', 'connected'])
        expect(await log.next()).toMatchObject({ type });
    } finally {
      await client.stop();
      for (const hole of holes) await hole.close();
    }
  });

  it('begins with another address next time when the server at one does not work', async () => {
    const second = await listen({ host: '127.0.0.2', port: cloud.port });
    resolveTo('127.0.0.1', '127.0.0.2');
    await start({ url: `ws://cloud.example.com:${cloud.port}/` });
    (await cloud.accept()).refuse(503);
    (await second.accept()).refuse(503);
    await accept();
  });

  it('starts no second lookup while one hangs', async () => {
    let works = false;
    const waiting: (() => void)[] = [];
    const hang: Lookup = (_host, _options, done) => {
      const answer = (): void => done(null, [{ address: '127.0.0.1', family: 4 }]);
      if (works) answer();
      else waiting.push(answer);
    };
    const lookup = jest.spyOn(dns, 'lookup').mockImplementation(hang as unknown as typeof dns.lookup);
    await start({ url: `ws://slow.example.com:${cloud.port}/`, phaseTimeoutMs: 300 });
    for (let time = 0; time < 3; time++)
      expect((await log.until('connection_failed')).reason).toBe(
        'no answer from the name server within 300 ms',
      );
    expect(lookup).toHaveBeenCalledTimes(1);
    works = true;
    for (const answer of waiting) answer();
    await accept();
  });

  it.each(['ws', 'wss', 'a proxy'] as const)(
    'tries the next address after 2.5 s when one never answers (%s)',
    async (how) => {
      const certificates = new Certificates();
      const { key, cert } = certificates.make({ name: 'cloud.example.com' });
      certificates.remove();
      const target = await listen(how === 'wss' ? { tls: { key, cert } } : {});
      const proxy = await ConnectProxy.listen();
      const entrance = how === 'a proxy' ? Number(new URL(proxy.url).port) : target.port;
      const hole = await BlackHole.at('127.0.0.3', entrance);
      try {
        resolveTo('127.0.0.3', '127.0.0.1');
        const since = performance.now();
        await start(
          how === 'a proxy'
            ? { url: target.url, proxy: `http://proxy.example.com:${entrance}` }
            : {
                url: `${how}://cloud.example.com:${target.port}/`,
                ...(how === 'wss' && { tls: { ca: cert } }),
              },
        );
        const device = await target.accept(10_000);
        device.upgrade();
        // By the first attempt.
        expect(await log.next()).toMatchObject({ type: 'connection_scheduled', cause: 'started' });
        expect(await log.next()).toMatchObject({ type: 'connecting' });
        expect(await log.next()).toEqual({ type: 'connected' });
        // Node's default of 250 ms would abort a slow address.
        expect(performance.now() - since).toBeGreaterThan(2_000);
      } finally {
        await client.stop();
        await hole.close();
        await proxy.close();
      }
    },
    60_000,
  );
});

describe('attempt timeouts (§3.2)', () => {
  it('names the phase that timed out, and how long earlier phases took: TCP', async () => {
    const hole = await BlackHole.at('127.0.0.3', cloud.port);
    try {
      await start({
        url: `ws://127.0.0.3:${cloud.port}/`,
        phaseTimeoutMs: 100,
        retryMinMs: 60_000,
        retryMaxMs: 60_000,
      });
      expect((await log.until('connection_failed')).reason).toBe('no connection within 100 ms');
    } finally {
      await client.stop();
      await hole.close();
    }
  });

  it('names the phase that timed out, and how long earlier phases took: TLS', async () => {
    await start({ url: cloud.url.replace('ws:', 'wss:'), phaseTimeoutMs: 100 });
    expect((await log.until('connection_failed')).reason).toMatch(
      /^no completed TLS handshake within 100 ms \(TCP took \d+ ms\)$/,
    );
  });

  it('takes no phase for one that timed out which ended in time, while this process stalled', async () => {
    await start({ url: cloud.url.replace('ws:', 'wss:'), phaseTimeoutMs: 100 });
    await log.until('connecting');
    for (const end = performance.now() + 200; performance.now() < end;);
    expect((await log.until('connection_failed')).reason).toMatch(
      /^no completed TLS handshake within 100 ms/,
    );
  });

  it('names the phase that timed out, and how long earlier phases took: the answer', async () => {
    await start({ url: cloud.url.replace('127.0.0.1', 'localhost'), phaseTimeoutMs: 100 });
    expect((await log.until('upgrade_failed')).reason).toMatch(
      /^no answer to the upgrade within 100 ms \(DNS took \d+ ms, TCP took \d+ ms\)$/,
    );
  });

  it('ends the attempt after upgradeTimeoutMs for all phases together', async () => {
    await start({ phaseTimeoutMs: 60_000, upgradeTimeoutMs: 100 });
    const { reason } = await log.until('upgrade_failed');
    expect(reason).toMatch(/^no answer to the upgrade within (100|\d\d) ms/);
  });

  it('doubles the timeouts after three attempts that timed out', async () => {
    await start({ phaseTimeoutMs: 200 });
    for (const timeoutMs of [200, 200, 200, 400])
      expect((await log.until('upgrade_failed')).reason).toContain(`within ${timeoutMs} ms`);
    for (let time = 0; time < 4; time++) await cloud.accept();
    await accept();
  });
});

(HAS_IPV6 ? describe : describe.skip)('IPv6', () => {
  it('connects to IP addresses in the URL', async () => {
    const six = await listen({ host: '::1' });
    await start({ url: six.url });
    expect((await accept(six)).request.headers['host']).toBe(`[::1]:${six.port}`);
  });
});

describe('HTTP proxy', () => {
  let proxy: ConnectProxy;

  beforeEach(async () => {
    proxy = await ConnectProxy.listen();
  });

  afterEach(async () => {
    await client.stop();
    await proxy.close();
  });

  it("sends CONNECT with the name and password in the proxy's URL", async () => {
    await start({ proxy: `http://device:p%40ss@${proxy.host}` });
    const device = await accept();
    expect(await proxy.asked.next()).toEqual({
      authority: `127.0.0.1:${cloud.port}`,
      authorization: `Basic ${Buffer.from('device:p@ss').toString('base64')}`,
    });
    expect(device.request.raw).not.toContain('roxy');
    await client.send('hello');
    await client.stop();
  });

  (HAS_IPV6 ? it : it.skip)(
    'sees nothing of what is sent over TLS, and may carry it to an IPv6 address',
    async () => {
      const certificates = new Certificates();
      try {
        const { key, cert } = certificates.make({ name: 'cloud', alt: 'IP:::1' });
        const secured = await listen({ host: '::1', tls: { key, cert } });
        await start({ url: secured.url, tls: { ca: cert }, proxy: proxy.url });
        const device = await accept(secured);
        expect(await proxy.asked.next()).toEqual({
          authority: `[::1]:${secured.port}`,
          authorization: undefined,
        });
        expect(device.request.raw).toContain('x-fedecks-auth');
        expect(proxy.carried.length).toBeGreaterThan(0);
        expect(proxy.carried.includes('x-fedecks-auth')).toBe(false);
      } finally {
        certificates.remove();
      }
    },
  );

  it('fails the attempt when the proxy rejects it, reports no password, and retries', async () => {
    proxy.answer = 407;
    await start({ proxy: `http://device:secret@${proxy.host}` });
    const event = await log.until('connection_failed');
    expect(event.reason).toBe('the proxy answered CONNECT with HTTP status 407');
    proxy.answer = 200;
    await accept();
    expect(JSON.stringify([event, ...(await log.rest()), client.details])).not.toContain('secret');
  });

  it('fails the attempt when the proxy is unreachable', async () => {
    const { url } = proxy;
    await proxy.close();
    await start({ proxy: url });
    expect((await log.until('connection_failed')).reason).toContain('ECONNREFUSED');
    proxy = await ConnectProxy.listen();
  });

  it('times out when the proxy never answers, and leaves no socket open', async () => {
    proxy.answer = 0;
    await start({ proxy: proxy.url, phaseTimeoutMs: 100, retryMinMs: 60_000, retryMaxMs: 60_000 });
    expect((await log.until('connection_failed')).reason).toMatch(
      /^no answer from the proxy within 100 ms \(TCP took \d+ ms\)$/,
    );
    await client.stop();
    expect(process.getActiveResourcesInfo()).not.toContain('TCPConnectWrap');
    while (proxy.open > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('closes the proxy connection together with the tunnelled one', async () => {
    await start({ proxy: proxy.url });
    await accept();
    await client.stop();
    while (proxy.open > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('reads the proxy from the environment at every attempt, and honours no_proxy', async () => {
    const env: Record<string, string> = { http_proxy: proxy.url };
    await start({ proxy: proxyFromEnvironment(env) });
    const device = await accept();
    await proxy.asked.next();
    env['no_proxy'] = '127.0.0.1';
    device.fin();
    await accept();
    expect(proxy.asked.size).toBe(0);
  });
});
