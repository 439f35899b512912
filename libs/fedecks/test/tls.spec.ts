import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import {
  type ConnectedDevice,
  Device,
  type FedecksOptions,
  FedecksModule,
  OnConnected,
  OnMessage,
} from '@fedecks/nest';
import { loginHeader, type Presented, request } from './support/cloud.js';
import { Certificates } from './support/certificates.js';
import { freePort } from './support/free-port.js';
import { Inbox } from './support/inbox.js';
import { OPCODE, RawPeer, type Response } from './support/raw-peer.js';
import { closeCode, PasswordOnly, SECRET, Site, tokenOf } from './support/site.js';
import { str, term } from './support/term-bytes.js';

const directory = mkdtempSync(join(tmpdir(), 'fedecks-tls-'));
afterAll(() => {
  certificates.remove();
  rmSync(directory, { recursive: true, force: true });
});

const certificates = new Certificates();
const certificate = certificates.make({ name: 'localhost', alt: 'DNS:localhost,IP:127.0.0.1' });

@Injectable()
class Listener {
  readonly connected = new Inbox<ConnectedDevice>('connection');

  @OnConnected()
  come(@Device() device: ConnectedDevice) {
    this.connected.put(device);
  }

  @OnMessage()
  any() {
    return 'heard';
  }
}

let site: Site;
afterEach(() => site.close());

async function start(
  given: Partial<FedecksOptions> = {},
  options: Parameters<typeof Site.start>[1] = {},
): Promise<void> {
  site = await Site.start(
    {
      imports: [
        FedecksModule.forRoot({ secrets: [SECRET], authenticator: new PasswordOnly(), drainMs: 0, ...given }),
      ],
      providers: [Listener],
    },
    options,
  );
}

async function remoteAddress(): Promise<string> {
  return (await site.app.get(Listener).connected.next()).remoteAddress;
}

async function expectAlive(peer: RawPeer): Promise<void> {
  peer.sendBinary(term(str('hello')));
  expect((await peer.expectFrame()).payload).toEqual(term(str('heard')));
}

describe('a device over TLS, with httpsOptions', () => {
  const { key, cert } = certificate;
  beforeEach(() => start({}, { httpsOptions: { key, cert }, ca: cert }));

  it('connects, is served, reconnects with its token, and gets the close frame', async () => {
    const { peer, response } = await site.ask();
    expect(response.statusLine).toBe('HTTP/1.1 101 Switching Protocols');
    expect(response.alone).toBe(true);
    const token = await tokenOf(peer);
    expect(token).not.toBe('');
    await expectAlive(peer);
    expect(await remoteAddress()).toBe('127.0.0.1');

    await site.fedecks.disconnect('nerves-242a');
    const close = await peer.expectFrame();
    expect(closeCode(close)).toBe(1000);
    const end = await peer.ended();
    expect(end.how).toBe('fin');
    expect(end.at - close.at).toBeLessThan(500);
  });

  it('is rejected with 403, no body and a TLS close', async () => {
    const { peer, response } = await site.ask({ auth: loginHeader('nerves-242a', 'wrong') });
    expect(response.statusLine).toBe('HTTP/1.1 403 Forbidden');
    expect(response.headers.get('content-length')).toBe('0');
    expect((await peer.ended()).how).toBe('fin');
    expect(Buffer.concat(peer.reads)).toEqual(response.firstRead);
  });

  it('may send and receive more than one TLS record holds', async () => {
    const device = await site.open();
    device.sendBinary(term(str('x'.repeat(200_000))));
    expect((await device.expectFrame()).payload).toEqual(term(str('heard')));
    await site.fedecks.push('nerves-242a', 'y'.repeat(200_000));
    expect((await device.expectFrame()).payload).toEqual(term(str('y'.repeat(200_000))));
  });
});

describe('X-Forwarded-For', () => {
  const spoofed = { headers: { 'x-forwarded-for': '203.0.113.7' } };

  it('is ignored without trustedProxies', async () => {
    await start();
    await site.open(spoofed);
    expect(await remoteAddress()).toBe('127.0.0.1');
  });

  it('is ignored from a peer that is not a trusted proxy', async () => {
    await start({ trustedProxies: ['192.0.2.0/24'] });
    await site.open(spoofed);
    expect(await remoteAddress()).toBe('127.0.0.1');
  });

  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ['198.51.100.1, 203.0.113.7, 127.0.0.9', '203.0.113.7'],
    ['2001:db8::7', '2001:db8::7'],
    ['', '127.0.0.1'],
  ])(
    "from a trusted proxy sets the device's address: the last one that is not a proxy (%s)",
    async (forwarded, address) => {
      await start({ trustedProxies: ['loopback'] });
      await site.open({ headers: { 'x-forwarded-for': forwarded } });
      expect(await remoteAddress()).toBe(address);
    },
  );
});

const DEVICE_ADDRESS = '127.0.0.2';

/** nginx as a reverse proxy of the app, with a typical configuration. */
class Nginx {
  private constructor(
    private readonly process: ChildProcess,
    private readonly ports: { plain: number; tls: number },
  ) {}

  static async start(upstream: number): Promise<Nginx> {
    // nginx cannot report a port it chose.
    const [plain, tls] = [await freePort(), await freePort()];
    const prefix = mkdtempSync(join(directory, 'nginx-'));
    writeFileSync(
      join(prefix, 'nginx.conf'),
      `daemon off; master_process off; pid ${prefix}/pid; error_log stderr error;
      events { worker_connections 64; }
      http {
        access_log off;
        ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((each) => `${each}_temp_path ${prefix}/${each};`).join(' ')}
        server {
          listen 127.0.0.1:${plain};
          listen 127.0.0.1:${tls} ssl;
          ssl_certificate ${certificate.certFile};
          ssl_certificate_key ${certificate.keyFile};
          location /fedecks/ {
            proxy_pass http://127.0.0.1:${upstream};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
          }
        }
      }`,
    );
    const child = spawn('nginx', ['-p', prefix, '-c', join(prefix, 'nginx.conf')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const nginx = new Nginx(child, { plain, tls });
    const faults: string[] = [];
    child.stderr.on('data', (data) => faults.push(String(data)));
    const deadline = Date.now() + 5_000;
    for (;;) {
      // It opens its ports one after the other.
      const peers = await Promise.all(
        [plain, tls].map((port) => RawPeer.connect(port).catch(() => undefined)),
      );
      for (const peer of peers) peer?.destroy();
      if (peers.every((peer) => peer !== undefined)) return nginx;
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`nginx does not start: ${faults.join('')}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async ask(by: 'plain' | 'tls', presented: Presented = {}): Promise<{ peer: RawPeer; response: Response }> {
    const ca = by === 'tls' ? certificate.cert : undefined;
    // An address other than nginx's, as if the device were on another machine.
    const peer = await RawPeer.connect(this.ports[by], { ca, localAddress: DEVICE_ADDRESS });
    peer.write(request(presented));
    return { peer, response: await peer.response() };
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGTERM');
    await ended;
  }
}

const hasNginx = ((): boolean => {
  try {
    execFileSync('nginx', ['-v'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

// Without nginx these are reported as todo, not as passed.
const behindNginx = ['plain', 'tls'] as const;
if (!hasNginx) {
  it.todo('Behind nginx: NOT TESTED, because there is no nginx on the PATH (apt-get install nginx-light)');
} else {
  describe.each(behindNginx)('Behind nginx (%s)', (by) => {
    let nginx: Nginx;
    const peers: RawPeer[] = [];
    afterEach(async () => {
      for (const peer of peers.splice(0)) peer.destroy();
      await nginx.stop();
    });

    async function startBoth(given: Partial<FedecksOptions>): Promise<void> {
      await start(given);
      nginx = await Nginx.start(site.port);
    }

    async function ask(presented: Presented = {}): Promise<{ peer: RawPeer; response: Response }> {
      const asked = await nginx.ask(by, presented);
      peers.push(asked.peer);
      return asked;
    }

    it('a device connects, is served, and has the address that nginx saw, whatever header it sends', async () => {
      await startBoth({ trustedProxies: ['127.0.0.1'] });
      const { peer, response } = await ask({ headers: { 'x-forwarded-for': '203.0.113.7' } });
      expect(response.statusLine).toBe('HTTP/1.1 101 Switching Protocols');
      await tokenOf(peer);
      await expectAlive(peer);
      expect(await remoteAddress()).toBe(DEVICE_ADDRESS);
      expect(await site.fedecks.push('nerves-242a', 'through nginx')).toBe('sent');
      expect((await peer.expectFrame()).payload).toEqual(term(str('through nginx')));
    });

    it('a device has the address of nginx when no proxy is trusted', async () => {
      await startBoth({});
      await ask({ headers: { 'x-forwarded-for': '203.0.113.7' } });
      expect(await remoteAddress()).toBe('127.0.0.1');
    });

    it('a rejection arrives as 403 without a body, and a 503 with its Retry-After', async () => {
      await startBoth({ upgradesPerAddressPerMinute: 1 });
      for (const status of ['403 Forbidden', '503 Service Unavailable']) {
        const { peer, response } = await ask({ auth: loginHeader('nerves-242a', 'wrong') });
        expect(response.statusLine).toBe(`HTTP/1.1 ${status}`);
        expect(response.headers.get('content-length')).toBe('0');
        expect(response.headers.has('retry-after')).toBe(status.startsWith('503'));
        peer.end();
        await peer.ended();
        expect(Buffer.concat(peer.reads)).toEqual(response.firstRead);
      }
    });

    it('a close frame and the end of TCP arrive in this order', async () => {
      await startBoth({});
      const { peer } = await ask();
      await tokenOf(peer);
      await site.fedecks.revoke('nerves-242a');
      const close = await peer.expectFrame();
      expect(close.opcode).toBe(OPCODE.close);
      expect(closeCode(close)).toBe(4150);
      const end = await peer.ended();
      expect(end.at - close.at).toBeLessThan(500);
    });
  });
}
