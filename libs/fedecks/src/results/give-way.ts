/** The time, in ms, that the streams of all connections may take before they yield to the event loop. */
const SLICE_MS = 5;

/** The maximum number of values per turn. Streams that resume together would all see time left. */
const SLICE_VALUES = 256;

/** The number of waiting streams resumed per turn. */
const BATCH = 32;

/** When the time slice of this turn ends; 0 if it has not begun. */
let endsAt = 0;
let values = 0;
const waiting: (() => void)[] = [];

/**
 * Called before each value of a stream. Returns undefined while this turn of the event loop has time left. Otherwise
 * returns a promise that resolves in a later turn, in order of the calls.
 */
export function giveWay(): Promise<void> | undefined {
  if (endsAt === 0) beginSlice();
  if (waiting.length === 0 && ++values <= SLICE_VALUES && performance.now() < endsAt) return undefined;
  return new Promise((resolve) => waiting.push(resolve));
}

function beginSlice(): void {
  endsAt = performance.now() + SLICE_MS;
  values = 0;
  setImmediate(onTurn);
}

function onTurn(): void {
  endsAt = 0;
  if (waiting.length === 0) return;
  beginSlice();
  for (const goOn of waiting.splice(0, BATCH)) goOn();
}
