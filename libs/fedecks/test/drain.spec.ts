import { Injectable } from '@nestjs/common';
import { DeviceEndpoint, FedecksModule, OnMessage } from '@fedecks/nest';
import { request } from './support/cloud.js';
import { type ChildApp, Program } from './support/child-app.js';
import { Inbox } from './support/inbox.js';
import { frame, OPCODE, RawPeer } from './support/raw-peer.js';
import { closeCode, PasswordOnly, SECRET, Site } from './support/site.js';
import { chars, list, str, term, tuple } from './support/term-bytes.js';

const event = (name: string, payload: string): Buffer => term(tuple(str(name), str(payload)));
const done = (payload: string): Buffer => term(list(str('done'), str(payload)));

describe('A process that gets SIGTERM', () => {
  let program: Program;
  let app: ChildApp;
  const peers: RawPeer[] = [];
  let port: number;

  async function start(drainMs: number, handlerMs: number): Promise<void> {
    app = program.start([String(drainMs), String(handlerMs)]);
    port = Number((await app.line()).split(' ')[1]);
  }

  async function ask(deviceId: string): Promise<{ peer: RawPeer; statusLine: string }> {
    const peer = await RawPeer.connect(port);
    peers.push(peer);
    peer.write(request({ deviceId }));
    return { peer, statusLine: (await peer.response()).statusLine };
  }

  /** Connects a device, and waits for its token. */
  async function open(deviceId: string): Promise<RawPeer> {
    const { peer, statusLine } = await ask(deviceId);
    expect(statusLine).toContain('101');
    peer.sendBinary(term(chars('token_please')));
    await peer.expectFrame();
    return peer;
  }

  beforeAll(async () => {
    program = await Program.compile('draining-app.ts');
  });
  afterEach(() => {
    for (const peer of peers.splice(0)) peer.destroy();
    app.dispose();
  });

  it('finishes handlers, delivers replies, rejects new devices, closes with 4000 and exits', async () => {
    await start(3_000, 200);
    const device = await open('busy');
    // The second message was received before the signal, and waits in the mailbox.
    device.write(
      Buffer.concat([
        frame(OPCODE.binary, event('work', 'first')),
        frame(OPCODE.binary, event('work', 'second')),
      ]),
    );
    expect(await app.line()).toBe('handling');
    app.kill('SIGTERM');
    const signalled = performance.now();

    // The process accepts devices until it has handled the signal.
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
    // Nest ends the process with the same signal.
    expect(exit).toMatchObject({ code: null, signal: 'SIGTERM' });
    expect(exit.at - signalled).toBeLessThan(3_000);
    expect(app.stderr).toBe('');
  });

  it('closes many devices in stages over drainMs, and runs @OnDisconnected for each', async () => {
    await start(1_000, 0);
    const devices: RawPeer[] = [];
    for (let count = 0; count < 60; count++) devices.push(await open(`device-${count}`));
    app.kill('SIGTERM');
    const signalled = performance.now();
    await Promise.all(
      devices.map(async (device) => {
        expect(closeCode(await device.expectFrame())).toBe(4000);
        await device.ended();
        device.end();
      }),
    );
    const exit = await app.exited(5_000);
    expect(exit.at - signalled).toBeLessThan(1_000 + 2_000);
    // By the clock of the app: this process may see some of it late.
    const closedAt: number[] = [];
    for (let count = 0; count < 60; count++) {
      const line = await app.line();
      expect(line).toMatch(/^gone \d/);
      closedAt.push(Number(line.slice('gone '.length)));
    }
    // Six stages of ten: none is before its time, 100 ms after the one before. A timer may be 1 ms early.
    for (let stage = 1; stage < 6; stage++)
      expect(closedAt[10 * stage]! - closedAt[0]!).toBeGreaterThan(100 * stage - 10);
  });

  it('exits within drainMs plus two seconds, whatever handlers and devices do', async () => {
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

  it('exits by itself after app.close(), with no timer, socket or server left', async () => {
    await start(200, 0);
    // One device was replaced, one replaced it, one disconnected, and one was rejected.
    await open('first');
    await open('first');
    (await open('second')).reset();
    expect((await ask('')).statusLine).toContain('403');
    const began = performance.now();
    app.endInput();
    expect(await app.exited(5_000)).toMatchObject({ code: 0, signal: null });
    expect(performance.now() - began).toBeLessThan(200 + 2_000);
    expect(app.stderr).toBe('');
  });
});

describe('app.close()', () => {
  @Injectable()
  @DeviceEndpoint('/fedecks', '/other')
  class Handlers {
    readonly handling = new Inbox<() => void>('message that is handled');

    @OnMessage()
    async any() {
      await new Promise<void>((resolve) => this.handling.put(resolve));
      return 'done';
    }
  }

  it('closes all endpoints at once: while one waits for a handler, no other accepts devices', async () => {
    const endpoint = (path: string) =>
      FedecksModule.forRoot({ path, secrets: [SECRET], authenticator: new PasswordOnly() });
    const paths = ['/fedecks', '/other'];
    const site = await Site.start({ imports: paths.map(endpoint), providers: [Handlers] });
    const { handling } = site.app.get(Handlers);
    const devices = await Promise.all(paths.map((path) => site.open({ target: `${path}/websocket` })));
    for (const device of devices) device.sendBinary(term(str('work')));
    const finish = [await handling.next(), await handling.next()];

    const closing = site.app.close();
    for (const path of paths) {
      expect(await site.statusOf({ target: `${path}/websocket`, deviceId: 'new' })).toBe(
        '503 Service Unavailable',
      );
    }
    for (const each of finish) each();
    for (const device of devices) {
      expect((await device.expectFrame()).payload).toEqual(term(str('done')));
      expect(closeCode(await device.expectFrame())).toBe(4000);
      device.end();
    }
    await closing;
    expect(site.fedecks.devices()).toEqual([]);
    await site.close();
  });

  it('rejects at once an upgrade whose authenticator has not answered', async () => {
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
});
