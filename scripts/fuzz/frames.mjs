// Compares our frame reader with the Receiver of `ws` over random streams: the same chunks must emit the same events.
//   node scripts/fuzz/frames.mjs --bytes 100000000 --seed 1
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const { values } = parseArgs({
  options: { bytes: { type: 'string', default: '100000000' }, seed: { type: 'string', default: '1' } },
});
const wanted = Number(values.bytes);
const PART_BYTES = 10_000_000;

const root = fileURLToPath(new URL('../..', import.meta.url));
// Inside the project, so that `ws` resolves.
const folder = mkdtempSync(join(root, '.fuzz-'));
const outfile = join(folder, 'compare-readers.mjs');
let compareReaders;
try {
  await build({
    entryPoints: [join(root, 'libs/fedecks/test/support/compare-readers.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['ws'],
    outfile,
  });
  ({ compareReaders } = await import(pathToFileURL(outfile)));
} finally {
  rmSync(folder, { recursive: true });
}

const total = { streams: 0, bytes: 0, messages: 0, controls: 0, ends: {} };
const rssBefore = process.memoryUsage.rss();
const since = performance.now();
for (let seed = Number(values.seed); total.bytes < wanted; seed++) {
  const { ends, ...counts } = await compareReaders(seed, Math.min(PART_BYTES, wanted - total.bytes));
  for (const [name, count] of Object.entries(counts)) total[name] += count;
  for (const [code, count] of ends) total.ends[code] = (total.ends[code] ?? 0) + count;
  const { rss, external } = process.memoryUsage();
  const mib = (bytes) => `${Math.round(bytes / 2 ** 20)} MiB`;
  console.log(`seed ${seed}: ${total.bytes} bytes so far, resident ${mib(rss)}, external ${mib(external)}`);
}
console.log(`no difference in ${Math.round((performance.now() - since) / 1000)} s:`, total);
console.log(`resident before ${Math.round(rssBefore / 2 ** 20)} MiB`);
