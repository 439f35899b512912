/**
 * Jest loads this before each test file. jest-circus makes an `AsyncLocalStorage` for each file and never disables it, and
 * Node copies what it holds to every promise of the process from then on: after 90 files an `await` takes 50 times as long.
 * This disables what the file before has left.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

interface Recorder {
  readonly run: AsyncLocalStorage<unknown>['run'];
  readonly used: Set<AsyncLocalStorage<unknown>>;
}

const RECORDER = Symbol.for('fedecks.test.contexts');
/** Each file has modules of its own, but Node's are those of the process. */
const shared = AsyncLocalStorage as unknown as { [RECORDER]?: Recorder };

for (const storage of shared[RECORDER]?.used ?? []) storage.disable();

const run = shared[RECORDER]?.run ?? (Reflect.get(AsyncLocalStorage.prototype, 'run') as Recorder['run']);
const used = new Set<AsyncLocalStorage<unknown>>();
shared[RECORDER] = { run, used };
AsyncLocalStorage.prototype.run = function (this: AsyncLocalStorage<unknown>, ...args: unknown[]): unknown {
  used.add(this);
  return Reflect.apply(run, this, args) as unknown;
};
