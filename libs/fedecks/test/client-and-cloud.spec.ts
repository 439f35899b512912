import { Injectable } from '@nestjs/common';
import { OnMessage, Payload, stop } from '@fedecks/nest';
import { FedecksClient, type FedecksClientOptions, MemoryTokenStore } from '@fedecks/nest/client';
import { ClientLog } from './support/client-log.js';
import { type Cloud, PASSWORD, startCloud } from './support/cloud.js';

@Injectable()
class Closing {
  @OnMessage('close with')
  close(@Payload() code: number) {
    return stop(code);
  }
}

const SOON = { retryMinMs: 10, retryMaxMs: 20 };
const SLOWLY = { slowRetryMinMs: 50_000, slowRetryMaxMs: 60_000 };

let cloud: Cloud;
let client: FedecksClient;
let log: ClientLog;
let others: FedecksClient[];

function make(options: Partial<FedecksClientOptions> = {}): FedecksClient {
  return new FedecksClient({
    url: `ws://127.0.0.1:${cloud.port}/fedecks/websocket`,
    deviceId: 'nerves-242a',
    tokenStore: new MemoryTokenStore(),
    startDelayMs: 0,
    closeTimeoutMs: 100,
    ...SOON,
    ...SLOWLY,
    ...options,
  });
}

/** A client that has logged in to a cloud of this kind. */
async function connected(...given: Parameters<typeof startCloud>): Promise<void> {
  const [options, providers = []] = given;
  cloud = await startCloud(options, [Closing, ...providers]);
  client = make();
  log = new ClientLog(client);
  await client.login({ password: PASSWORD });
  await log.until('token_stored');
}

async function expectSlow(cause: 'connection_lost' | 'upgrade_failed'): Promise<void> {
  const scheduled = await log.until('connection_scheduled');
  expect(scheduled.cause).toBe(cause);
  expect(scheduled.delayMs).toBeGreaterThanOrEqual(SLOWLY.slowRetryMinMs);
  expect(scheduled.delayMs).toBeLessThanOrEqual(SLOWLY.slowRetryMaxMs);
}

/** With credentials again, though nothing else is to be tried for a long time. */
async function expectLoginHelps(): Promise<void> {
  await client.login({ password: PASSWORD });
  expect(client.status).toBe('connected');
  await client.send('echo', 'here again');
}

beforeEach(() => {
  others = [];
});

afterEach(async () => {
  for (const each of [client, ...others]) await each.stop();
  await cloud.close();
});

describe('what a device does about the close code of a cloud (§5)', () => {
  it.each([1000, 1001, 1002, 1009, 1011, 3000, 4000, 4001, 4003, 4099, 4200, 4999])(
    '%i: it comes back soon, with its token',
    async (code) => {
      await connected();
      await client.send('close with', code);
      // The message that asks for it: no ping has followed it.
      const lost = { type: 'connection_lost', cause: 'closed', code, unconfirmed: 1 };
      expect(await log.until('connection_lost')).toEqual(lost);
      expect((await log.until('connection_scheduled')).delayMs).toBeLessThanOrEqual(SOON.retryMaxMs);
      expect((await log.until('connecting')).with).toBe('token');
      await log.until('connected');
    },
  );

  it.each([4100, 4101, 4149])('%i: it forgets its token, and waits for a login', async (code) => {
    await connected();
    await client.send('close with', code);
    expect(await log.until('unregistered')).toEqual({ type: 'unregistered', cause: 'token_expired' });
    expect(client.details.tokenHeld).toBe(false);
    await expectLoginHelps();
  });

  it.each([4150, 4151, 4199])(
    '%i: it keeps its token, and comes back slowly, or with a login',
    async (code) => {
      await connected();
      await client.send('close with', code);
      await expectSlow('connection_lost');
      expect(client.details.tokenHeld).toBe(true);
      await expectLoginHelps();
    },
  );
});

describe('a device that sends faster than its cloud allows (§1.9)', () => {
  it('goes no faster than that, and loses nothing', async () => {
    await connected({ messagesPerSecond: 400 });
    const answers = new Promise<void>((resolve) => {
      let heard = 0;
      client.messages$.subscribe(() => ++heard === 1_000 && resolve());
    });
    const startedAt = performance.now();
    for (let count = 0; count < 1_000; count++) await client.send('echo', count);
    await answers;
    expect(performance.now() - startedAt).toBeGreaterThan(3_000);
    expect((await log.rest()).map(({ type }) => type)).not.toContain('connection_lost');
  }, 20_000);

  it('rejects what would wait beyond maxBufferedBytes, and what waits when the connection ends', async () => {
    cloud = await startCloud({ messagesPerSecond: 20 });
    client = make({ maxBufferedBytes: 10_000 });
    log = new ClientLog(client);
    await client.login({ password: PASSWORD });
    const sends = Array.from({ length: 100 }, () => client.send('x'.repeat(500)));
    const end = client.stop();
    const codes = (await Promise.allSettled(sends)).map((send) =>
      send.status === 'fulfilled' ? 'sent' : (send.reason as { code: string }).code,
    );
    expect(codes.slice(0, 8)).toEqual(new Array(8).fill('sent'));
    expect(codes[8]).toBe('connection-ended');
    expect(codes.at(-1)).toBe('send-buffer-full');
    await end;
  });
});

describe('what a device does when its cloud', () => {
  it('shuts down (4000): it tries again soon', async () => {
    await connected({ drainMs: 0 });
    await cloud.shutDown();
    expect(await log.until('connection_lost')).toMatchObject({ code: 4000 });
    expect((await log.until('connection_failed')).reason).toContain('ECONNREFUSED');
    expect((await log.until('connection_scheduled')).delayMs).toBeLessThanOrEqual(SOON.retryMaxMs);
  });

  it('revokes its tokens (4150): it tries again slowly, or with a login', async () => {
    await connected();
    await cloud.fedecks.revoke('nerves-242a');
    expect(await log.until('connection_lost')).toMatchObject({ code: 4150 });
    await expectSlow('connection_lost');
    await expectLoginHelps();
  });

  it('refuses its token (403): it tries again after a while, or with a login', async () => {
    cloud = await startCloud();
    client = make({ tokenStore: new MemoryTokenStore('a token of another cloud') });
    log = new ClientLog(client);
    await client.start();
    expect(await log.until('upgrade_failed')).toEqual({ type: 'upgrade_failed', status: 403 });
    const { delayMs } = await log.until('connection_scheduled');
    expect(delayMs).toBeGreaterThanOrEqual(30_000);
    expect(delayMs).toBeLessThanOrEqual(60_000);
    await expectLoginHelps();
  });

  it('gives its place to another with the same id (4152): it comes back, and two do not fight for long', async () => {
    await connected();
    const other = make();
    others.push(other);
    await other.login({ password: PASSWORD });
    for (let time = 1; time <= 3; time++) {
      expect(await log.until('connection_lost')).toMatchObject({ code: 4152 });
      if (time < 3)
        expect((await log.until('connection_scheduled')).delayMs).toBeLessThanOrEqual(SOON.retryMaxMs);
    }
    await expectSlow('connection_lost');
    expect(other.status).toBe('connected');
  });

  it("has another machine with its id, and is told so: it has the event 'clone_suspected', as the other has", async () => {
    await connected();
    const other = make();
    const otherLog = new ClientLog(other);
    others.push(other);
    expect(client.details.cloneSuspectedAt).toBeUndefined();
    await other.login({ password: PASSWORD });
    // In one round: replaced, back, and replaced again.
    await log.until('clone_suspected');
    await otherLog.until('clone_suspected');
    expect(client.details.cloneSuspectedAt).toBeInstanceOf(Date);
    expect(client.details.lastError).toContain('clone_suspected: another machine uses this device id');
  });

  it('refuses clones: the one that is not connected is told so, and comes back when the other has gone', async () => {
    await connected({ clones: 'refuse' });
    const other = make();
    others.push(other);
    const otherLog = new ClientLog(other);
    await other.login({ password: PASSWORD });
    const refusal = Promise.race([log.until('upgrade_failed'), otherLog.until('upgrade_failed')]);
    expect(await refusal).toEqual({ type: 'upgrade_failed', status: 503 });
    const [refused, holder] = client.status === 'connected' ? [other, client] : [client, other];
    expect(refused.details.cloneSuspectedAt).toBeInstanceOf(Date);
    expect(holder.status).toBe('connected');
    await holder.stop();
    await refused.login({ password: PASSWORD });
    expect(refused.status).toBe('connected');
  });

  it('has no room (503): it waits for as long as the Retry-After says, and a little longer', async () => {
    await connected({ upgradesPerAddressPerMinute: 1 });
    // Its login does not count for it when it comes back with its token, its first return does.
    await cloud.fedecks.disconnect('nerves-242a');
    await log.until('connected');
    await cloud.fedecks.disconnect('nerves-242a');
    expect(await log.until('upgrade_failed')).toEqual({ type: 'upgrade_failed', status: 503 });
    const { delayMs } = await log.until('connection_scheduled');
    expect(delayMs).toBeGreaterThanOrEqual(1_000);
    expect(delayMs).toBeLessThanOrEqual(70_000 + SOON.retryMaxMs);
    expect(client.details.nextAttemptAt?.getTime()).toBeGreaterThan(Date.now() + 500);
  });
});
