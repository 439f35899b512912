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

/** Starts a cloud with these options, and a client that has logged in to it. */
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

/** Checks that a login works at once, although the next attempt is scheduled much later. */
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

describe('device: close codes of a real cloud (§5)', () => {
  it.each([1000, 1001, 1002, 1009, 1011, 3000, 4000, 4001, 4003, 4099, 4200, 4999])(
    'reconnects soon with its token after close code %i',
    async (code) => {
      await connected();
      await client.send('close with', code);
      // The 'close with' message, which no ping has confirmed.
      const lost = { type: 'connection_lost', cause: 'closed', code, unconfirmed: 1 };
      expect(await log.until('connection_lost')).toEqual(lost);
      expect((await log.until('connection_scheduled')).delayMs).toBeLessThanOrEqual(SOON.retryMaxMs);
      expect((await log.until('connecting')).with).toBe('token');
      await log.until('connected');
    },
  );

  it.each([4100, 4101, 4149])('forgets its token and waits for a login after close code %i', async (code) => {
    await connected();
    await client.send('close with', code);
    expect(await log.until('unregistered')).toEqual({ type: 'unregistered', cause: 'token_expired' });
    expect(client.details.tokenHeld).toBe(false);
    await expectLoginHelps();
  });

  it.each([4150, 4151, 4199])(
    'keeps its token after close code %i, and reconnects slowly or with a login',
    async (code) => {
      await connected();
      await client.send('close with', code);
      await expectSlow('connection_lost');
      expect(client.details.tokenHeld).toBe(true);
      await expectLoginHelps();
    },
  );
});

describe('device that sends faster than its cloud allows (§1.9)', () => {
  it('throttles to the announced rate, and loses nothing', async () => {
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
  });

  it('rejects sends beyond maxBufferedBytes, and pending ones when the connection ends', async () => {
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

describe('device: events of a real cloud', () => {
  it('reconnects soon when the cloud shuts down (4000)', async () => {
    await connected({ drainMs: 0 });
    await cloud.shutDown();
    expect(await log.until('connection_lost')).toMatchObject({ code: 4000 });
    expect((await log.until('connection_failed')).reason).toContain('ECONNREFUSED');
    expect((await log.until('connection_scheduled')).delayMs).toBeLessThanOrEqual(SOON.retryMaxMs);
  });

  it('reconnects slowly, or with a login, when its tokens are revoked (4150)', async () => {
    await connected();
    await cloud.fedecks.revoke('nerves-242a');
    expect(await log.until('connection_lost')).toMatchObject({ code: 4150 });
    await expectSlow('connection_lost');
    await expectLoginHelps();
  });

  it('retries after a while, or with a login, when its token is rejected (403)', async () => {
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

  it('reconnects when another connection with its id replaces it (4152), and slowly from the third time on', async () => {
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

  it("emits 'clone_suspected' when another machine uses its id, on both machines", async () => {
    await connected();
    const other = make();
    const otherLog = new ClientLog(other);
    others.push(other);
    expect(client.details.cloneSuspectedAt).toBeUndefined();
    await other.login({ password: PASSWORD });
    // One round: replaced, reconnected, replaced again.
    await log.until('clone_suspected');
    await otherLog.until('clone_suspected');
    expect(client.details.cloneSuspectedAt).toBeInstanceOf(Date);
    expect(client.details.lastError).toContain('Another machine uses this device id');
  });

  it("is rejected by clones: 'refuse' while the other machine is connected, and accepted afterwards", async () => {
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

  it('waits for the Retry-After of a 503, and a little longer', async () => {
    await connected({ upgradesPerAddressPerMinute: 1 });
    // The limit counts its first reconnection with the token, but not its login.
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
