/** How long, in ms, all streams together may run before they yield to the event loop. */
const SLICE_MS = 5;

/** The maximum number of values per turn, as streams woken together all see remaining time. */
const SLICE_VALUES = 256;

/** The number of waiting streams resumed per turn. */
const BATCH = 32;

/** When the slice of this turn ends; 0 before the first call in a turn. */
let endsAt = 0;
let values = 0;
const waiting: (() => void)[] = [];

/**
 * Called before each value of a stream. Undefined while this turn of the event loop has time left, otherwise a promise
 * that resolves in a later turn, in order of arrival.
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
