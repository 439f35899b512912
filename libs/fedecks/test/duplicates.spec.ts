import { Injectable } from '@nestjs/common';
import {
  type ConnectedDevice,
  Device,
  type DisconnectCause,
  type FedecksOptions,
  FedecksModule,
  OnDisconnected,
  OnMessage,
  OnSocketError,
  Payload,
  type SocketError,
} from '@fedecks/nest';
import { authHeader, request, tokenHeader } from './support/cloud.js';
import { eventually } from './support/eventually.js';
import { Inbox } from './support/inbox.js';
import { type Frame, type RawPeer } from './support/raw-peer.js';
import { closeCode, PasswordOnly, SECRET, Site, tokenOf } from './support/site.js';
import { atom, str, term } from './support/term-bytes.js';

const ID = 'nerves-242a';

@Injectable()
class Listener {
  readonly disconnected = new Inbox<{ since: number; cause: DisconnectCause }>('end of a connection');
  readonly errors = new Inbox<SocketError>('socket error');

  @OnMessage()
  any() {
    return 'heard';
  }

  @OnDisconnected()
  gone(@Device() { since }: ConnectedDevice, @Payload() cause: DisconnectCause) {
    this.disconnected.put({ since, cause });
  }

  @OnSocketError()
  error(@Payload() error: SocketError) {
    this.errors.put(error);
  }
}

let site: Site;
let listener: Listener;
afterEach(() => site.close());

async function start(
  duplicates?: FedecksOptions['duplicates'],
  clones: FedecksOptions['clones'] = 'report',
): Promise<void> {
  site = await Site.start({
    imports: [
      FedecksModule.forRoot({
        secrets: [SECRET],
        authenticator: new PasswordOnly(),
        drainMs: 0,
        clones,
        ...(duplicates && { duplicates }),
      }),
    ],
    providers: [Listener],
  });
  listener = site.app.get(Listener);
}

function reasonOf(frame: Frame): string {
  expect(closeCode(frame)).toBe(4152);
  return frame.payload.toString('utf8', 2);
}

async function expectAlive(peer: RawPeer): Promise<void> {
  peer.sendBinary(term(str('hello')));
  expect((await peer.expectFrame()).payload).toEqual(term(str('heard')));
}

describe('A device id that connects twice', () => {
  it.each([['by default', undefined] as const, ["with 'newest'", 'newest'] as const])(
    '%s, closes the older connection with 4152, and keeps the newer',
    async (_, duplicates) => {
      await start(duplicates);
      const older = await site.open();
      const [{ since }] = site.fedecks.devices() as [ConnectedDevice];
      const newer = await site.open();
      expect(closeCode(await older.expectFrame())).toBe(4152);
      expect((await older.ended()).how).toBe('fin');
      expect(await listener.disconnected.next()).toEqual({ since, cause: { type: 'replaced', code: 4152 } });

      // The late disconnect of the older connection does not affect the newer one.
      older.destroy();
      await expectAlive(newer);
      expect(site.fedecks.devices()).toHaveLength(1);
      expect(await site.fedecks.push(ID, 'for the newer')).toBe('sent');
      expect((await newer.expectFrame()).payload).toEqual(term(str('for the newer')));
      expect(listener.disconnected.size).toBe(0);
    },
  );

  it('keeps its connection when another upgrade of it is rejected', async () => {
    await start();
    const device = await site.open();
    expect(await site.statusOf({ auth: tokenHeader(ID, 'no token at all') })).toBe('403 Forbidden');
    await expectAlive(device);
  });

  it("with 'oldest', is rejected with 503, no body and a Retry-After, and reported", async () => {
    await start('oldest');
    const older = await site.open();
    const { peer, response } = await site.ask();
    expect(response.statusLine).toBe('HTTP/1.1 503 Service Unavailable');
    expect(response.headers.get('content-length')).toBe('0');
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(response.alone).toBe(true);
    await peer.ended();
    expect(await listener.errors.next()).toMatchObject({ deviceId: ID, type: 'duplicate' });
    await expectAlive(older);

    older.destroy();
    await listener.disconnected.next();
    await expectAlive(await site.open());
  });

  it("with 'oldest', is accepted once, however many attempts arrive at the same time", async () => {
    await start('oldest');
    const statuses = await Promise.all(
      Array.from({ length: 10 }, async () => (await site.ask()).response.statusLine.slice(9, 12)),
    );
    expect(statuses.sort()).toEqual(['101', ...new Array<string>(9).fill('503')]);
    expect(site.fedecks.devices()).toHaveLength(1);
  });

  it("with 'allow', keeps both connections, and gets pushes on both", async () => {
    await start('allow');
    const [one, two] = [await site.open(), await site.open()];
    expect(site.fedecks.devices()).toHaveLength(2);
    expect(await site.fedecks.push(ID, 'for both')).toBe('sent');
    for (const peer of [one, two]) expect((await peer.expectFrame()).payload).toEqual(term(str('for both')));

    one.destroy();
    await listener.disconnected.next();
    expect(await site.fedecks.push(ID, 'for the other')).toBe('sent');
    expect((await two.expectFrame()).payload).toEqual(term(str('for the other')));
    expect(await site.fedecks.disconnect(ID)).toBe(true);
    expect(closeCode(await two.expectFrame())).toBe(1000);
  });

  it("with 'allow', gets a push on one connection while the other holds its frames", async () => {
    await start('allow');
    const { response } = await site.ask();
    expect(response.statusLine).toContain('101');
    // The first has sent no frame, so pushes to it are held (PROTOCOL.md §2.6).
    const ready = await site.open();
    const pushed = performance.now();
    const results = [site.fedecks.push(ID, 1), site.fedecks.push(ID, 2)];
    for (const value of [1, 2]) {
      const { payload, at } = await ready.expectFrame();
      expect(payload).toEqual(Buffer.from([0x83, 0x61, value]));
      expect(at - pushed).toBeLessThan(500);
    }
    await site.fedecks.disconnect(ID);
    expect(await Promise.all(results)).toEqual(['sent', 'sent']);
  });
});

describe('A device that sends the attempt header (§1.7)', () => {
  const PROCESS = 'AAECAwQFBgcICQoLDA0ODw';
  const attempt = (number: number, process = PROCESS) => ({
    headers: { 'x-fedecks-attempt': `${process}/${number}` },
  });

  it('keeps its newer connection; an older attempt that arrives late is rejected with 503', async () => {
    await start();
    const newer = await site.open(attempt(2));
    const { response } = await site.ask(attempt(1));
    expect(response.statusLine).toBe('HTTP/1.1 503 Service Unavailable');
    expect(response.headers.get('content-length')).toBe('0');
    expect(response.headers.get('retry-after')).toBe('10');
    expect(response.alone).toBe(true);
    expect(await listener.errors.next()).toMatchObject({ deviceId: ID, type: 'late_attempt' });
    await expectAlive(newer);
    expect(site.fedecks.devices()).toMatchObject([{ attempt: { process: PROCESS, number: 2 } }]);
  });

  it.each([
    ['a higher number', attempt(3)],
    ['the same number, as a proxy repeats it', attempt(2)],
    ['another process', attempt(1, `B${PROCESS.slice(1)}`)],
    ['no attempt header', {}],
    ['an invalid attempt header', { headers: { 'x-fedecks-attempt': `${PROCESS}/one` } }],
  ])('is replaced by a connection with %s', async (_, next) => {
    await start();
    const older = await site.open(attempt(2));
    await expectAlive(await site.open(next));
    expect(closeCode(await older.expectFrame())).toBe(4152);
    expect(listener.errors.size).toBe(0);
  });

  it('is accepted with an older number when no connection is left to replace', async () => {
    await start();
    (await site.open(attempt(2))).destroy();
    await listener.disconnected.next();
    await expectAlive(await site.open(attempt(1)));
  });
});

describe('An upgrade that is decided after a later one', () => {
  it('does not replace the later connection, and is rejected with 503', async () => {
    let letIn: (() => void) | undefined;
    site = await Site.start({
      imports: [
        FedecksModule.forRoot({
          secrets: [SECRET],
          drainMs: 0,
          authenticator: {
            authenticate: ({ slow }) => {
              if (slow !== true) return true;
              return new Promise<boolean>((resolve) => (letIn = () => resolve(true)));
            },
          },
        }),
      ],
      providers: [Listener],
    });
    listener = site.app.get(Listener);
    const early = await site.connect();
    early.write(request({ auth: authHeader({ 'fedecks-device-id': str(ID), slow: atom('true') }) }));
    await eventually(() => letIn !== undefined, Boolean);
    const late = await site.open();
    letIn?.();
    expect((await early.response()).statusLine).toBe('HTTP/1.1 503 Service Unavailable');
    await expectAlive(late);
    expect(await listener.errors.next()).toMatchObject({ type: 'late_attempt' });
  });
});

describe('Two machines that use one device id', () => {
  /** Connects in turn as these processes with these attempt numbers; returns the last connection. */
  async function takeTurns(...turns: string[]): Promise<RawPeer> {
    let peer: RawPeer | undefined;
    for (const turn of turns) {
      const headers = { 'x-fedecks-attempt': `${turn[0]?.repeat(22)}/${turn.slice(1)}` };
      peer = await site.open({ headers });
    }
    return peer!;
  }

  it('are reported after one round with both addresses, and told by the reason of 4152 (§1.8)', async () => {
    await start();
    const a = await takeTurns('a1');
    const b = await takeTurns('b1');
    expect(reasonOf(await a.expectFrame())).toBe('replaced');
    const aAgain = await takeTurns('a2');
    expect(reasonOf(await b.expectFrame())).toBe('replaced');
    expect(listener.errors.size).toBe(0);
    const bAgain = await takeTurns('b2');
    expect(await listener.errors.next()).toEqual({
      deviceId: ID,
      type: 'clone_suspected',
      info: 'two machines use this device id, at 127.0.0.1 and 127.0.0.1: give each machine its own id and login',
    });
    expect(reasonOf(await aAgain.expectFrame())).toBe('another machine uses this device id');
    await expectAlive(bAgain);
  });

  it('are not suspected when a device restarts repeatedly', async () => {
    await start();
    await takeTurns('a1', 'b1', 'c1', 'c2', 'd1');
    expect(listener.errors.size).toBe(0);
  });

  it('are not suspected when requests of an ended process arrive late', async () => {
    await start();
    await takeTurns('a1', 'b1');
    for (const number of [2, 3, 4]) {
      const { peer } = await site.ask({ headers: { 'x-fedecks-attempt': `${'a'.repeat(22)}/${number}` } });
      await takeTurns(`b${number}`);
      expect(reasonOf(await peer.expectFrame())).toBe('replaced');
    }
    // Seven replacements are reported as flapping.
    expect(await listener.errors.next()).toMatchObject({ type: 'flapping' });
    expect(listener.errors.size).toBe(0);
  });

  it("with clones: 'refuse', the connected one stays, and the other is rejected with 503 and the reason (§1.8)", async () => {
    await start('newest', 'refuse');
    const holder = await takeTurns('a1', 'b1', 'a2', 'b2');
    await listener.errors.next();
    const { response } = await site.ask({ headers: { 'x-fedecks-attempt': `${'a'.repeat(22)}/3` } });
    expect(response.statusLine).toBe('HTTP/1.1 503 Service Unavailable');
    expect(response.headers.get('content-length')).toBe('0');
    expect(response.headers.get('retry-after')).toBe('60');
    expect(response.headers.get('x-fedecks-refusal')).toBe('another machine uses this device id');
    expect(await listener.errors.next()).toMatchObject({ deviceId: ID, type: 'clone_suspected' });
    await expectAlive(holder);
    // The connected machine may reconnect.
    await expectAlive(await takeTurns('b3'));
    // A device without an attempt header is accepted as usual.
    await expectAlive(await site.open());
  });

  it('without attempt headers, are reported once as flapping, at the fifth replacement in a minute', async () => {
    await start();
    const auth = tokenHeader(ID, await tokenOf(await site.open()));
    for (let replacement = 1; replacement <= 12; replacement++) {
      await site.open({ auth });
      if (replacement === 4) expect(listener.errors.size).toBe(0);
      if (replacement === 5) {
        expect(await listener.errors.next()).toMatchObject({ deviceId: ID, type: 'flapping' });
      }
    }
    await site.open({ deviceId: 'other' });
    expect(listener.errors.size).toBe(0);
    expect(site.fedecks.devices()).toHaveLength(2);
  });
});
