/**
 * A device that prints 'started', delivers numbers until it is killed, and logs each that is kept. The log is the file
 * 'kept': a kill -9 loses what waits for a pipe. Arguments: URL, directory, first number. Without a first number it puts
 * in no more, and prints 'empty' when nothing waits.
 */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { FedecksClient, FileTokenStore } from '@fedecks/nest/client';

const [url = '', directory = '', first] = process.argv.slice(2);

const client = new FedecksClient({
  url,
  deviceId: 'nerves-242a',
  tokenStore: new FileTokenStore(join(directory, 'token'), 'nerves-242a'),
  outbox: join(directory, 'outbox'),
  startDelayMs: 0,
  retryMinMs: 5,
  retryMaxMs: 50,
});
client.events$.subscribe((event) => {
  if (/^outbox_failed|delivery_/.test(event.type)) console.log(`event ${JSON.stringify(event)}`);
});
await client.start();
console.log('started');
void logIn();

async function logIn(): Promise<void> {
  while (client.status === 'unregistered') {
    await client.login({ password: 'open sesame' }).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

if (first === undefined) {
  while (client.outbox.state !== 'flowing' || client.outbox.size > 0)
    await new Promise((resolve) => setTimeout(resolve, 20));
  console.log('empty');
} else {
  for (let number = Number(first); ; number++) {
    await client.deliver('number', number);
    appendFileSync(join(directory, 'kept'), `${number}\n`);
    // The outbox drops the oldest when 10,000 wait: a cloud that is killed often must not fall behind so far.
    do await new Promise((resolve) => setTimeout(resolve, 1));
    while (client.outbox.size > 1_000);
  }
}
