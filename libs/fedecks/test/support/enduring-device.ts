/**
 * A device whose connection the test breaks repeatedly, as a separate process run with --expose-gc. Its
 * arguments are the URL of its cloud and the directory of its token. Writes to its standard output, a line of JSON each:
 *
 * - `{ failures, heapUsed, sockets }` after 200 and 1,000 failed attempts or lost connections
 * - `{ status, sockets }` at the end of its input
 * - `{ left }` when it has then stopped: the resources that it did not have at its start
 *
 * Then it exits by itself.
 */
import { writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { FedecksClient } from '@fedecks/nest/client';

const [url = '', tokenStore = ''] = process.argv.slice(2);
const { gc } = globalThis as { gc?: () => void };
if (!gc) throw new Error('to be run with --expose-gc');

/** The resources that keep a process running, and its listeners. */
function held(): string[] {
  const listeners = process.eventNames().map((name) => `${String(name)} x${process.listenerCount(name)}`);
  return [...process.getActiveResourcesInfo(), ...listeners].sort();
}

function sockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
}

function tell(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

async function measure(failures: number): Promise<void> {
  for (let time = 0; time < 3; time++) {
    await setImmediate();
    gc?.();
  }
  tell({ failures, heapUsed: process.memoryUsage().heapUsed, sockets: sockets() });
}

process.stdin.resume();
await setImmediate();
const before = held();
const client = new FedecksClient({
  url,
  tokenStore,
  deviceId: 'nerves-242a',
  startDelayMs: 0,
  retryMinMs: 1,
  retryMaxMs: 3,
  slowRetryMinMs: 1,
  slowRetryMaxMs: 3,
  pingIntervalMs: 50,
  // Longer than a busy machine may take to answer: what must stay connected is not lost.
  pongTimeoutMs: 400,
  upgradeTimeoutMs: 100,
  closeTimeoutMs: 30,
});

let failures = 0;
client.events$.subscribe(({ type }) => {
  if (type === 'connected') client.send('hello').catch(() => undefined);
  if (type !== 'connection_lost' && type !== 'connection_failed' && type !== 'upgrade_failed') return;
  failures++;
  if (failures === 200 || failures === 1_000) void measure(failures);
});
await client.start();

process.stdin.once('end', () => {
  tell({ status: client.status, sockets: sockets() });
  void client.stop().then(async () => {
    await setImmediate();
    const left = held();
    for (const each of before) if (left.includes(each)) left.splice(left.indexOf(each), 1);
    tell({ left });
  });
});
