// Measures the outbox store: see README.md. Build first: npm run build.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FileOutboxStore } from '../libs/fedecks/dist/client/outbox/file-outbox-store.js';
import { nodeFiles } from '../libs/fedecks/dist/client/outbox/files.js';

const RECORDS = Number(process.env.RECORDS ?? 1_000_000);
const directory = process.argv[2] ?? mkdtempSync(join(tmpdir(), 'fedecks-outbox-'));
if (process.argv[2] === undefined)
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));

const done = { bytes: 0, writes: 0, syncs: 0 };
const files = {
  ...nodeFiles,
  async open(path, mode) {
    const file = await nodeFiles.open(path, mode);
    const { write, sync } = file;
    file.write = (bytes, position) => {
      done.bytes += bytes.length;
      done.writes++;
      return write.call(file, bytes, position);
    };
    file.sync = () => {
      done.syncs++;
      return sync.call(file);
    };
    return file;
  },
};
const listener = { onFailure: ({ reason }) => console.error(reason), onRemoved: () => undefined };
const message = { lane: 'telemetry', ttlMs: 7 * 86_400_000, message: new Uint8Array(300).fill(65) };
const limits = { maxMessages: 2 * RECORDS, maxBytes: 2 ** 40 };
const store = (name) => new FileOutboxStore(join(directory, name), limits, { files });
// The kernel counts the memory that a page cache does not: VmRSS.
const rss = () => {
  for (let round = 0; round < 3; round++) globalThis.gc?.();
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1_024;
};

const degrees = [
  ['disk', 1],
  ['disk', 10],
  ['power', 1],
  ['power', 10],
];
for (const [durability, group] of process.argv[2] === undefined ? degrees : []) {
  const outbox = store(`${durability}-${group}`);
  await outbox.open(listener);
  await outbox.append(message, durability);
  await outbox.flush();
  Object.assign(done, { bytes: 0, writes: 0, syncs: 0 });
  const count = durability === 'disk' ? 50_000 : 1_000;
  const began = performance.now();
  for (let index = 0; index < count; index += group) {
    await Promise.all(Array.from({ length: group }, () => outbox.append(message, durability)));
  }
  const seconds = (performance.now() - began) / 1_000;
  const per = (what) => (done[what] / count).toFixed(3);
  console.log(
    `${durability}, groups of ${group}: ${Math.round(count / seconds)} appends/s; each ${per('bytes')} bytes, ` +
      `${per('writes')} writes, ${per('syncs')} syncs`,
  );
  await outbox.close();
}

if (process.argv[2] === undefined) {
  const many = store('many');
  await many.open(listener);
  const began = performance.now();
  for (let index = 0; index < RECORDS; index += 100) {
    await Promise.all(Array.from({ length: 100 }, () => many.append(message, 'disk')));
  }
  console.log(`${RECORDS} records put in: ${((performance.now() - began) / 1_000).toFixed(1)} s`);
  await many.close();
  // A process of its own, for its memory.
  spawnSync(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), directory], {
    stdio: 'inherit',
  });
} else {
  const reopened = store('many');
  const before = rss();
  const opening = performance.now();
  const { lanes } = await reopened.open(listener);
  const openMs = performance.now() - opening;
  console.log(
    `opened ${lanes[0].count} records in ${Math.round(openMs)} ms, RSS +${(rss() - before).toFixed(1)} MB`,
  );
  const reading = performance.now();
  for (
    let seq = lanes[0].first, read = 0;
    read < 10_000;
    seq = reopened.following('telemetry', seq), read++
  ) {
    await reopened.read('telemetry', seq);
  }
  console.log(`read 10,000: ${Math.round(10_000 / ((performance.now() - reading) / 1_000))}/s`);
  const removing = performance.now();
  reopened.acknowledge('telemetry', lanes[0].next - 1);
  await reopened.close();
  console.log(`acknowledged all and closed in ${Math.round(performance.now() - removing)} ms`);
}
