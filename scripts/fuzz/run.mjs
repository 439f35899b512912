// The coverage-guided fuzzer: see README.md. Needs a build (npm run build).
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { loadTarget } from './coverage.mjs';

/** The targets, and their share of `--executions` in a run of all. One socket run costs as much as 100 terms. */
const TARGETS = {
  decode: 0.45,
  'auth-header': 0.2,
  'client-inbound': 0.15,
  frames: 0.194,
  upgrade: 0.002,
  device: 0.004,
};
/** A run of this duration is a hang. */
const HANG_MS = 20_000;
/** The allowed growth of the heap after the first report, as the corpus still grows. */
const HEAP_GROWTH_BYTES = 64 * 1024 * 1024;

const { values: given } = parseArgs({
  options: {
    target: { type: 'string', default: 'all' },
    executions: { type: 'string', default: '10000000' },
    seconds: { type: 'string', default: '0' },
    workers: { type: 'string', default: String(availableParallelism()) },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    'max-bytes': { type: 'string', default: '2048' },
    'slow-ms': { type: 'string', default: '50' },
    input: { type: 'string' },
  },
});

const names = given.target === 'all' ? Object.keys(TARGETS) : given.target.split(',');
const unknown = names.find((name) => !(name in TARGETS));
if (unknown !== undefined) {
  console.error(`target '${unknown}' does not exist (have: all, ${Object.keys(TARGETS).join(', ')})`);
  process.exit(2);
}

let faults = 0;
if (given.input !== undefined) await runInput(names, given.input);
else await fuzz();

/** Replays one input from a printed fault. Its error ends the process with a stack. */
async function runInput([name], hex) {
  const { target } = await loadTarget(name);
  await target.setUp?.();
  const start = performance.now();
  await (target.runAlone ?? target.run)(Buffer.from(hex, 'hex'));
  console.log(`${name}: no fault, ${(performance.now() - start).toFixed(1)} ms`);
  await target.tearDown?.();
}

async function fuzz() {
  const workers = Number(given.workers);
  const seed = Number(given.seed);
  const rows = [];
  console.log(`seed ${seed}, ${workers} workers`);
  for (const name of names) {
    const share = given.target === 'all' ? TARGETS[name] : 1 / names.length;
    const executions = Math.ceil((Number(given.executions) * share) / workers);
    const faultsBefore = faults;
    const start = performance.now();
    const threads = await Promise.all(
      Array.from({ length: workers }, (_, index) => runThread(name, seed + index, executions)),
    );
    const seconds = (performance.now() - start) / 1000;
    const sum = (field) => threads.reduce((total, thread) => total + thread[field], 0);
    const most = (field) => Math.max(...threads.map((thread) => thread[field]));
    rows.push({
      target: name,
      executions: sum('done'),
      'per second': Math.round(sum('done') / seconds),
      ...(sum('frames') > 0 && { frames: sum('frames') }),
      branches: `${most('branches')} of ${most('counters')}`,
      corpus: most('corpus'),
      'heap, first and last (MiB)': `${mib(most('firstHeap'))} ${mib(most('heapUsed'))}`,
      'RSS, first and last (MiB)': `${mib(most('firstRss'))} ${mib(most('rss'))}`,
      faults: faults - faultsBefore,
    });
    console.table([rows.at(-1)]);
    if (most('heapUsed') - most('firstHeap') > HEAP_GROWTH_BYTES)
      onFault(name, 'memory grows: see the table');
  }
  if (rows.length > 1) console.table(rows);
  process.exitCode = faults > 0 ? 1 : 0;
}

function onFault(name, message, hex) {
  faults++;
  const replay = hex === undefined ? '' : `\n  npm run fuzz -- --target ${name} --input ${hex}`;
  console.error(`\n${name}: ${message}${replay}`);
}

/** Runs one thread until it finishes, hangs or crashes, and resolves with its last report. */
function runThread(name, seed, executions) {
  const maxBytes = Number(given['max-bytes']);
  const shared = new SharedArrayBuffer(4 + maxBytes);
  const seconds = Number(given.seconds);
  const worker = new Worker(new URL('worker.mjs', import.meta.url), {
    workerData: {
      name,
      seed,
      executions,
      maxBytes,
      shared,
      slowMs: Number(given['slow-ms']),
      untilMs: seconds > 0 ? Date.now() + 1000 * seconds : Infinity,
    },
  });
  const last = { done: 0, branches: 0, counters: 0, corpus: 0, frames: 0 };
  Object.assign(last, { heapUsed: 0, firstHeap: 0, rss: 0, firstRss: 0 });
  let heardAt = performance.now();
  return new Promise((resolve) => {
    const end = (message) => {
      clearInterval(watch);
      if (message !== undefined) onFault(name, `${message} (seed ${seed})`, inputIn(shared));
      void worker.terminate().then(() => resolve(last));
    };
    const watch = setInterval(() => {
      if (performance.now() - heardAt > HANG_MS) end('does not end');
    }, 1_000);
    worker.on('error', (error) => end(`ends the process: ${String(error?.stack ?? error).slice(0, 600)}`));
    worker.on('message', (message) => {
      heardAt = performance.now();
      if (message.kind === 'end') return end();
      if (message.kind === 'fault') return onFault(name, message.message, message.hex);
      Object.assign(last, message, { rss: process.memoryUsage().rss });
      if (message.done === 0) return;
      last.firstHeap ||= last.heapUsed;
      last.firstRss ||= last.rss;
    });
  });
}

/** The current input of a thread. */
function inputIn(shared) {
  const bytes = Buffer.from(shared);
  return bytes.subarray(4, 4 + bytes.readUInt32LE(0)).toString('hex');
}

function mib(bytes) {
  return Math.round(bytes / 1024 / 1024);
}
