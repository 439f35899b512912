import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Fedecks, type FedecksOptions, FedecksModule } from '@fedecks/nest';
import { loginHeader } from './support/cloud.js';
import { PasswordOnly, SECRET, Site } from './support/site.js';

const moduleOf = (options: Partial<FedecksOptions>) =>
  FedecksModule.forRoot({ secrets: [SECRET], authenticator: new PasswordOnly(), drainMs: 0, ...options });

describe('X-Forwarded-For of a trusted proxy', () => {
  let site: Site;
  beforeEach(async () => {
    const options = { trustedProxies: ['loopback', '10.0.0.0/8'], upgradesPerAddressPerMinute: 2 };
    site = await Site.start({ imports: [moduleOf(options)] });
  });
  afterEach(() => site.close());

  it.each<[string, (port: number) => string | string[], string]>([
    ['an address with a port', (port) => `203.0.113.9:${port}`, '203.0.113.9'],
    ['an address in brackets with a port', (port) => `[2001:db8::9]:${port}`, '2001:db8::9'],
    ['two proxies', (port) => `203.0.113.9:${port}, 10.0.0.5:${port}`, '203.0.113.9'],
    ['two headers', (port) => ['203.0.113.9', `10.0.0.5:${port}`], '203.0.113.9'],
    ['garbage', (port) => `garbage-${port}`, '127.0.0.1'],
    ['addresses of one /64', (port) => `2001:db8::${port}`, '2001:db8::4000'],
  ])('uses the forwarded address in limits and in devices(): %s', async (_, forwardedOf, address) => {
    const statuses: string[] = [];
    for (let port = 4_000; port < 4_003; port++) {
      const headers = { 'x-forwarded-for': forwardedOf(port) };
      statuses.push((await site.ask({ deviceId: `device-${port}`, headers })).response.statusLine);
    }
    expect(statuses.map((line) => line.slice(9, 12))).toEqual(['101', '101', '503']);
    expect(site.fedecks.devices()[0]?.remoteAddress).toBe(address);
  });
});

describe('A server on a Unix socket', () => {
  const directory = mkdtempSync(join(tmpdir(), 'fedecks-unix-'));
  const path = join(directory, 'app.sock');
  const warnings: string[] = [];
  let app: INestApplication;
  afterEach(() => app.close());
  afterAll(() => rmSync(directory, { recursive: true }));

  async function start(options: Partial<FedecksOptions>): Promise<void> {
    warnings.length = 0;
    const ignored = (): void => undefined;
    const logger = {
      log: ignored,
      error: ignored,
      warn: (line: unknown) => void warnings.push(String(line)),
    };
    const module = await Test.createTestingModule({ imports: [moduleOf(options)] }).compile();
    app = module.createNestApplication({ logger });
    await app.listen(path);
  }

  /** The status of an upgrade that a proxy on this machine forwards. */
  async function statusOf(forwarded: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const request = httpRequest({
        socketPath: path,
        path: '/fedecks/websocket',
        headers: {
          connection: 'upgrade',
          upgrade: 'websocket',
          'sec-websocket-version': '13',
          'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
          'x-fedecks-auth': loginHeader(forwarded),
          'x-forwarded-for': forwarded,
        },
      });
      request.on('upgrade', ({ statusCode }, socket) => {
        socket.on('error', () => undefined);
        resolve(statusCode);
      });
      request.on('response', ({ statusCode }) => resolve(statusCode));
      request.on('error', reject).end();
    });
  }

  it('uses the address that the proxy forwards, with any trustedProxies', async () => {
    await start({ trustedProxies: ['loopback'], upgradesPerAddressPerMinute: 1 });
    expect(await statusOf('203.0.113.1')).toBe(101);
    expect(await statusOf('203.0.113.2')).toBe(101);
    expect(await statusOf('203.0.113.2')).toBe(503);
    expect(
      app
        .get(Fedecks)
        .devices()
        .map(({ remoteAddress }) => remoteAddress),
    ).toEqual(['203.0.113.1', '203.0.113.2']);
    expect(warnings).toEqual([]);
  });

  it('warns at start-up, without trustedProxies, that all devices share one limit', async () => {
    await start({ upgradesPerAddressPerMinute: 1 });
    expect(warnings).toEqual([
      expect.stringMatching(/unix socket.*share one.*set trustedProxies: \['loopback'\]/),
    ]);
    expect(await statusOf('203.0.113.1')).toBe(101);
    expect(await statusOf('203.0.113.2')).toBe(503);
  });
});
