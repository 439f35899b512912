/**
 * Appends to an outbox until it is killed, and logs the number and text of each message that was kept. The log is a file:
 * a kill -9 loses what waits for a pipe. Each line is also printed. Arguments: directory, log file.
 */
import { openSync, writeSync } from 'node:fs';
import { FileOutboxStore } from '../../src/client/outbox/file-outbox-store.js';

const store = new FileOutboxStore(process.argv[2] ?? '', { segmentBytes: 8_192 });
const file = openSync(process.argv[3] ?? '', 'a');

function log(line: string): void {
  writeSync(file, `${line}\n`);
  console.log(line);
}

await store.open({ onFailure: ({ reason }) => console.error(reason), onRemoved: () => undefined });
const lane = 'default';
for (let count = 0; ; count++) {
  const texts = Array.from({ length: 1 + (count % 7) }, (_, index) => `${process.pid} ${count} ${index}`);
  await Promise.all(
    texts.map(async (text) => {
      const bytes = Buffer.from(text.padEnd(300, '.'));
      const seq = await store.append({ lane, ttlMs: 86_400_000, message: bytes }, 'disk');
      log(`${seq} ${text}`);
    }),
  );
  // Part of them is acknowledged, so that files are removed, too.
  const first = store.following(lane, 0) ?? 0;
  if (count % 5 === 4) {
    log(`acknowledge ${first + 9}`);
    store.acknowledge(lane, first + 9);
  }
}
