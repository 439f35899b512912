import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { ClientLog } from './support/client-log.js';
import { type Cloud, PASSWORD, startCloud } from './support/cloud.js';
import { SlowLink } from './support/slow-link.js';
import { type Term } from '@fedecks/nest/wire';

const BYTES = 40_000;
const BYTES_PER_SECOND = 20_000;

let cloud: Cloud;
let link: SlowLink;
let client: FedecksClient;

afterEach(async () => {
  await client.stop();
  await link.close();
  await cloud.close();
});

describe('a link on which a message takes longer than the heartbeat timeout (§2.10, §3.3)', () => {
  it('delivers it in both directions, without a reconnect', async () => {
    cloud = await startCloud({ idleTimeoutMs: 500 });
    link = await SlowLink.to(cloud.port, BYTES_PER_SECOND);
    client = new FedecksClient({
      url: link.url,
      deviceId: 'nerves-242a',
      tokenStore: new MemoryTokenStore(),
      pingIntervalMs: 150,
      pongTimeoutMs: 150,
      retryMinMs: 1,
      retryMaxMs: 20,
    });
    const log = new ClientLog(client);
    await client.login({ password: PASSWORD });
    const echo = new Promise<Term>((resolve) => client.messages$.subscribe(resolve));
    const sentAt = performance.now();
    await client.send('echo', 'x'.repeat(BYTES));
    expect(await echo).toBe('x'.repeat(BYTES));
    expect(performance.now() - sentAt).toBeGreaterThan((2 * BYTES * 900) / BYTES_PER_SECOND);
    expect((await log.rest()).map(({ type }) => type)).not.toContain('connection_lost');
  });
});
