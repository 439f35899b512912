/** A device that delivers one message to the cloud at `argv[2]`, with the outbox in `argv[3]`, and prints its id. */
import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';

const [, , url = '', outbox = '', message = ''] = process.argv;
const client = new FedecksClient({
  url,
  deviceId: 'nerves-242a',
  tokenStore: new MemoryTokenStore('t'),
  startDelayMs: 0,
  retryMinMs: 1,
  retryMaxMs: 5,
  outbox,
});
client.events$.subscribe((event) => {
  if (event.type === 'delivered') console.log(`delivered ${event.id}`);
});
await client.start();
if (message !== '') console.log(`kept ${(await client.deliver('log', message)).id}`);
