/** How long, in ms, the streams of all connections may go on before everything else of the process gets its turn. */
const SLICE_MS = 5;

/** The maximum number of values per turn, as streams woken together all see remaining time. */
const SLICE_VALUES = 256;

/** The number of waiting streams resumed per turn. */
const BATCH = 32;

/** When this turn's slice ends; 0 while nobody has asked in it. */
let endsAt = 0;
let values = 0;
const waiting: (() => void)[] = [];

/**
 * Asked before each value of a stream. Undefined while this turn of the event loop has time for it; else a
 * promise that resolves in a later turn, after those who have waited longer.
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
