// One thread of the fuzzer: mutates, runs, keeps inputs that take a new branch, and reports to run.mjs.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { loadTarget } from './coverage.mjs';
import { minimize } from './minimize.mjs';
import { Mutator } from './mutator.mjs';
import { Random } from './random.mjs';
import { startOf } from './seeds.mjs';

const REPORT_MS = 2_000;
/** Synchronous runs before it yields to the event loop, for finalizers and messages. */
const BATCH = 10_000;
const MAX_FAULTS = 10;

const { name, seed, executions, untilMs, maxBytes, slowMs, shared } = workerData;
/** The current input, for run.mjs to read after a hang: its length, then its bytes. */
const current = Buffer.from(shared);
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');
// A stack per rejected input would cost more than decoding.
Error.stackTraceLimit = 0;

const { target, counters } = await loadTarget(name);
const { seeds, dictionary } = startOf(name);
const seen = new Uint32Array(counters.length);
const corpus = [];
const faults = new Set();
let done = 0;
let reportedAt = 0;
/** The branches taken by the last run: deterministic, unlike its time. */
let branchesTaken = 0;
let last = performance.now();

await target.setUp?.();
const mutator = new Mutator(new Random(seed), dictionary, maxBytes);
for (const input of seeds) {
  await attempt(input.length > maxBytes ? input.subarray(0, maxBytes) : input, true);
}
done = 0;
while (done < executions && faults.size < MAX_FAULTS) {
  const pending = attempt(mutator.next(corpus), false);
  if (pending) await pending;
  if (++done % BATCH === 0) await new Promise((resolve) => setImmediate(resolve));
  if (last - reportedAt < REPORT_MS) continue;
  report();
  if (Date.now() > untilMs) break;
}
await target.tearDown?.();
report();
parentPort.postMessage({ kind: 'end' });

/** Runs one input. Returns a promise only if the target does. */
function attempt(input, isSeed) {
  current.writeUInt32LE(input.length, 0);
  input.copy(current, 4);
  let pending;
  try {
    pending = target.run(input);
  } catch (error) {
    return onFault(input, error);
  }
  return pending === undefined ? afterRun(input, isSeed) : afterPending(pending, input, isSeed);
}

async function afterPending(pending, input, isSeed) {
  try {
    await pending;
  } catch (error) {
    return onFault(input, error);
  }
  return afterRun(input, isSeed);
}

function afterRun(input, isSeed) {
  const now = performance.now();
  const slow = now - last > slowMs && !isSeed;
  last = now;
  if (isNew() || isSeed) corpus.push({ bytes: Buffer.from(input), cost: input.length + branchesTaken });
  return slow ? onSlow(input) : undefined;
}

/** Whether a branch was taken for the first time, or by a new power of two of times. */
function isNew() {
  let fresh = false;
  branchesTaken = 0;
  for (let index = 0; index < counters.length; index++) {
    const times = counters[index];
    if (times === 0) continue;
    counters[index] = 0;
    branchesTaken += times;
    const bit = 1 << (31 - Math.clz32(times));
    if (seen[index] & bit) continue;
    seen[index] |= bit;
    fresh = true;
  }
  return fresh;
}

/** Whether it is slow three times: once may be the machine. */
async function onSlow(input) {
  const copy = Buffer.from(input);
  let best = Infinity;
  for (let times = 0; times < 3; times++) {
    const start = performance.now();
    await target.run(Buffer.from(copy));
    best = Math.min(best, performance.now() - start);
  }
  if (best > slowMs) postFault(copy, `slow: ${best.toFixed(0)} ms for ${copy.length} bytes`, `slow ${done}`);
  last = performance.now();
}

async function onFault(input, error) {
  const kind = kindOf(error);
  if (faults.has(kind)) return;
  const { smallest, alone } = await minimize(input, kind, async (bytes) => {
    try {
      await (target.runAlone ?? target.run)(bytes);
    } catch (again) {
      return kindOf(again);
    }
    return undefined;
  });
  const note = alone ? '' : ' (not by itself: run the fuzzer again with this seed)';
  postFault(smallest, String(error?.message ?? error) + note, kind);
  counters.fill(0);
  last = performance.now();
}

/** The fault's kind: faults that differ only in numbers and bytes are the same. */
function kindOf(error) {
  return `${error?.name}: ${String(error?.message ?? error)
    .replace(/[0-9a-f]{8,}|\d+/g, '#')
    .slice(0, 60)}`;
}

function postFault(input, message, kind) {
  faults.add(kind);
  parentPort.postMessage({ kind: 'fault', hex: input.toString('hex'), message: message.slice(0, 300) });
}

function report() {
  collectGarbage();
  reportedAt = last = performance.now();
  const branches = seen.reduce((sum, bits) => sum + (bits === 0 ? 0 : 1), 0);
  const { heapUsed } = process.memoryUsage();
  parentPort.postMessage({
    kind: 'progress',
    done,
    branches,
    counters: counters.length,
    corpus: corpus.length,
    heapUsed,
    frames: target.framesSent?.() ?? 0,
  });
}
