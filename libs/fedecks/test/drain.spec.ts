import { Injectable } from '@nestjs/common';
import { type ConnectionChange, FedecksModule, OnMessage } from '@fedecks/nest';
import { request } from './support/cloud.js';
import { ChildApp } from './support/child-app.js';
import { Inbox } from './support/inbox.js';
import { frame, OPCODE, RawPeer } from './support/raw-peer.js';
import { closeCode, PasswordOnly, SECRET, Site } from './support/site.js';
import { chars, list, str, term, tuple } from './support/term-bytes.js';

const event = (name: string, payload: string): Buffer => term(tuple(str(name), str(payload)));
const done = (payload: string): Buffer => term(list(str('done'), str(payload)));

describe('SIGTERM, with enableShutdownHooks(),', () => {
  let app: ChildApp;
  const peers: RawPeer[] = [];
  let port: number;

  async function start(drainMs: number, handlerMs: number): Promise<void> {
    app = await ChildApp.start('draining-app.ts', [String(drainMs), String(handlerMs)]);
    port = Number((await app.line()).split(' ')[1]);
  }

  async function ask(deviceId: string): Promise<{ peer: RawPeer; statusLine: string }> {
    const peer = await RawPeer.connect(port);
    peers.push(peer);
    peer.write(request({ deviceId }));
    return { peer, statusLine: (await peer.response()).statusLine };
  }

  /** A device that is let in, and has its token. */
  async function open(deviceId: string): Promise<RawPeer> {
    const { peer, statusLine } = await ask(deviceId);
    expect(statusLine).toContain('101');
    peer.sendBinary(term(chars('token_please')));
    await peer.expectFrame();
    return peer;
  }

  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.destroy();
    await app.dispose();
  });

  it('lets handlers finish and their replies arrive, refuses new devices, closes with 4000, ends TCP, and the process', async () => {
    await start(3_000, 400);
    const device = await open('busy');
    // The second is in the mailbox when the signal comes, and was received before it.
    device.write(
      Buffer.concat([
        frame(OPCODE.binary, event('work', 'first')),
        frame(OPCODE.binary, event('work', 'second')),
      ]),
    );
    expect(await app.line()).toBe('handling');
    app.kill('SIGTERM');
    const signalled = performance.now();

    // Until the process has heard the signal it lets devices in.
    for (let attempt = 0; ; attempt++) {
      const { statusLine, peer } = await ask(`new-${attempt}`);
      if (statusLine === 'HTTP/1.1 503 Service Unavailable') break;
      expect(statusLine).toContain('101');
      peer.destroy();
    }

    expect((await device.expectFrame()).payload).toEqual(done('first'));
    expect((await device.expectFrame()).payload).toEqual(done('second'));
    const close = await device.expectFrame();
    expect(closeCode(close)).toBe(4000);
    const end = await device.ended();
    expect(end.how).toBe('fin');
    expect(end.at - close.at).toBeLessThan(200);
    device.end();

    const exit = await app.exited(5_000);
    // Nest ends the process by the signal it was sent.
    expect(exit).toMatchObject({ code: null, signal: 'SIGTERM' });
    expect(exit.at - signalled).toBeLessThan(3_000);
    expect(app.stderr).toBe('');
  });

  it('closes many devices in stages over drainMs, and has @OnDisconnected finish for each', async () => {
    await start(1_000, 0);
    const devices: RawPeer[] = [];
    for (let count = 0; count < 60; count++) devices.push(await open(`device-${count}`));
    app.kill('SIGTERM');
    const signalled = performance.now();
    const closedAt = await Promise.all(
      devices.map(async (device) => {
        const close = await device.expectFrame();
        expect(closeCode(close)).toBe(4000);
        await device.ended();
        device.end();
        return close.at;
      }),
    );
    const exit = await app.exited(5_000);
    expect(exit.at - signalled).toBeLessThan(1_000 + 2_000);
    // Six stages of ten, 100 ms apart.
    const stages = closedAt.sort((a, b) => a - b).filter((at, index, all) => at - (all[index - 1] ?? 0) > 50);
    expect(stages).toHaveLength(6);
    for (let count = 0; count < 60; count++) expect(await app.line()).toBe('gone');
  });

  it('ends within drainMs and two seconds, whatever handlers and devices do', async () => {
    await start(500, 0);
    const [hung, silent] = [await open('hung'), await open('silent')];
    hung.sendBinary(event('hang', ''));
    expect(await app.line()).toBe('handling');
    silent.pause();
    app.kill('SIGTERM');
    const signalled = performance.now();
    const close = await hung.expectFrame();
    expect(closeCode(close)).toBe(4000);
    expect(close.at - signalled).toBeGreaterThan(400);
    const exit = await app.exited(5_000);
    expect(exit.signal).toBe('SIGTERM');
    expect(exit.at - signalled).toBeLessThan(500 + 2_000);
  });
});

describe('app.close()', () => {
  @Injectable()
  class Handlers {
    @OnMessage()
    any() {
      return 'heard';
    }
  }

  it('closes all endpoints at the same time, and leaves no timer and no socket behind', async () => {
    const before = process.getActiveResourcesInfo().filter(isOurs).length;
    const endpoint = (path: string) =>
      FedecksModule.forRoot({ path, secrets: [SECRET], authenticator: new PasswordOnly(), drainMs: 400 });
    const site = await Site.start({
      imports: [endpoint('/fedecks'), endpoint('/other')],
      providers: [Handlers],
    });
    const devices = await Promise.all(
      ['/fedecks', '/other'].flatMap((path) =>
        Array.from({ length: 30 }, (_, index) =>
          site.open({ deviceId: `device-${index}`, target: `${path}/websocket` }),
        ),
      ),
    );
    const changes = new Inbox<ConnectionChange>('connection change');
    site.fedecks.connections$.subscribe({ next: (change) => changes.put(change) });
    const began = performance.now();
    const closing = site.app.close();
    await Promise.all(
      devices.map(async (device) => {
        expect(closeCode(await device.expectFrame())).toBe(4000);
        await device.ended();
        device.end();
      }),
    );
    await closing;
    // One after the other they would need twice their time.
    expect(performance.now() - began).toBeLessThan(700);
    expect(changes.size).toBe(60);
    expect(site.fedecks.devices()).toEqual([]);
    for (const device of devices) device.destroy();
    // Handles are gone a turn of the loop after they were closed.
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(process.getActiveResourcesInfo().filter(isOurs).length).toBeLessThanOrEqual(before);
  });

  it('refuses at once an upgrade whose authenticator has not answered', async () => {
    const asked = new Inbox<string>('login');
    const site = await Site.start({
      imports: [
        FedecksModule.forRoot({
          secrets: [SECRET],
          authenticator: {
            authenticate: (_, { id }) => {
              asked.put(id);
              return new Promise(() => undefined);
            },
          },
        }),
      ],
      providers: [Handlers],
    });
    const response = site.ask();
    await asked.next();
    const closing = site.app.close();
    const { peer, response: refused } = await response;
    expect(refused.statusLine).toBe('HTTP/1.1 503 Service Unavailable');
    expect(refused.headers.get('retry-after')).toBe('1');
    peer.end();
    await closing;
    await site.close();
  });

  /** What a forgotten connection, server or timer keeps alive. */
  function isOurs(resource: string): boolean {
    return ['TCPSocketWrap', 'TCPServerWrap', 'Timeout'].includes(resource);
  }
});
