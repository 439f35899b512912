import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { ClientLog } from './support/client-log.js';
import { PhoenixPeer } from './support/phoenix-peer.js';

const EXPIRES_S = Date.parse('2026-11-01T00:00:00Z') / 1000;
const TOKEN = `e30.${Buffer.from(JSON.stringify({ exp: EXPIRES_S })).toString('base64url')}.s`;
const BEFORE = 'date: Sat, 31 Oct 2026 23:59:59 GMT\r\n';
const AFTER = 'date: Sun, 01 Nov 2026 00:00:00 GMT\r\n';

describe('A device whose token is rejected', () => {
  let cloud: PhoenixPeer;
  let client: FedecksClient;
  let log: ClientLog;

  beforeEach(async () => {
    cloud = await PhoenixPeer.listen();
    client = new FedecksClient({
      url: cloud.url,
      deviceId: 'nerves-242a',
      tokenStore: new MemoryTokenStore(TOKEN),
      startDelayMs: 0,
      slowRetryMinMs: 1,
      slowRetryMaxMs: 1,
      retryMinMs: 1,
      retryMaxMs: 1,
    });
    log = new ClientLog(client);
    await client.start();
  });

  afterEach(async () => {
    await client.stop();
    await cloud.close();
  });

  /** The events between a failed upgrade and the next scheduled attempt. */
  async function afterRefusal(): Promise<unknown[]> {
    await log.until('upgrade_failed');
    const seen: unknown[] = [];
    for (let event = await log.next(); event.type !== 'connection_scheduled'; event = await log.next())
      seen.push(event);
    return seen;
  }

  it("reports that the token has expired by the server's date, and keeps it", async () => {
    (await cloud.accept()).refuse(403, AFTER);
    expect(await afterRefusal()).toEqual([{ type: 'token_refused', cause: 'expired' }]);
    expect(client.details).toMatchObject({
      tokenHeld: true,
      tokenExpiresAt: new Date(EXPIRES_S * 1000),
      lastError: 'The cloud refuses the token, which has expired',
    });
    expect((await cloud.accept()).request.line).toContain('GET');
  });

  it('reports the second 403 in a row', async () => {
    (await cloud.accept()).refuse(403, BEFORE);
    expect(await afterRefusal()).toEqual([]);
    (await cloud.accept()).refuse(403, BEFORE);
    expect(await afterRefusal()).toEqual([{ type: 'token_refused', cause: 'refused' }]);
  });

  it('ignores a 403 with a body, which comes from an intermediary', async () => {
    for (let times = 0; times < 3; times++) {
      (await cloud.accept()).write(`HTTP/1.1 403 Forbidden\r\n${AFTER}content-length: 5\r\n\r\nlogin`);
      expect(await afterRefusal()).toEqual([]);
    }
  });
});
