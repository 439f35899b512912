/** How long, in ms, the streams of all connections may go on before everything else of the process gets its turn. */
const SLICE_MS = 5;

interface Turn {
  readonly endsAt: number;
  readonly over: Promise<void>;
}

let turn: Turn | undefined;

/**
 * Asked after each value of a stream that could give the next at once. Undefined while this turn of the event loop has
 * time for it; else a promise that resolves in the next turn.
 */
export function giveWay(): Promise<void> | undefined {
  turn ??= beginTurn();
  return performance.now() < turn.endsAt ? undefined : turn.over;
}

function beginTurn(): Turn {
  const over = new Promise<void>((resolve) => {
    setImmediate(() => {
      turn = undefined;
      resolve();
    });
  });
  return { endsAt: performance.now() + SLICE_MS, over };
}
