/**
 * A device that handles the deliveries of the cloud at `argv[2]`, with its token in the directory `argv[3]`. It prints
 * each as it has been handled: `number attempt`. `argv[4]` says when it kills itself: `after-handler`, or `before-ack`; or
 * `deaf`, that its handler never ends. SIGTERM stops the client.
 */
import { writeSync } from 'node:fs';
import { FedecksClient } from '@fedecks/nest/client';
import { WebSocket } from 'ws';

const [, , url = '', tokenStore = '', dies = ''] = process.argv;
const client = new FedecksClient({
  url,
  deviceId: 'nerves-242a',
  tokenStore,
  startDelayMs: 0,
  retryMinMs: 1,
  retryMaxMs: 5,
});
client.onDelivery('update', async (payload, { attempt }) => {
  await new Promise((resolve) => setImmediate(resolve));
  writeSync(1, `${typeof payload === 'string' ? payload : '?'} ${attempt}\n`);
  if (dies === 'deaf') await new Promise(() => undefined);
  if (dies === 'after-handler') process.kill(process.pid, 'SIGKILL');
});
if (dies === 'before-ack') {
  const { prototype } = WebSocket;
  const send = Reflect.get(prototype, 'send') as (this: WebSocket, ...args: unknown[]) => void;
  prototype.send = function (this: WebSocket, ...args: unknown[]) {
    if (Buffer.from(args[0] as Uint8Array).includes('ack')) process.kill(process.pid, 'SIGKILL');
    else send.apply(this, args);
  } as typeof prototype.send;
}
await client.start();
process.once('SIGTERM', () => void client.stop());
