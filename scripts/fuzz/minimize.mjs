/** The maximum number of attempts: each runs the target. */
const MAX_ATTEMPTS = 3_000;
/** The time limit: a missing answer takes seconds to detect. */
const MAX_MS = 10_000;

/**
 * Removes bytes, then sets bytes to zero, as long as the fault persists.
 * @param kindOf runs an input and resolves with the kind of its fault, or undefined.
 * @returns the smallest input found, and whether it causes the fault `alone`, without the runs before it.
 */
export async function minimize(input, kind, kindOf) {
  let smallest = Buffer.from(input);
  if ((await kindOf(Buffer.from(smallest))) !== kind) return { smallest, alone: false };
  let attempts = 0;
  const endMs = performance.now() + MAX_MS;
  const isOver = () => attempts >= MAX_ATTEMPTS || performance.now() > endMs;
  const take = async (candidate) => {
    attempts++;
    if ((await kindOf(Buffer.from(candidate))) !== kind) return false;
    smallest = candidate;
    return true;
  };
  for (let size = smallest.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at + size <= smallest.length && !isOver();) {
      const shorter = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)]);
      if (!(await take(shorter))) at += size;
    }
  }
  for (let at = 0; at < smallest.length && !isOver(); at++) {
    if (smallest[at] === 0) continue;
    const plainer = Buffer.from(smallest);
    plainer[at] = 0;
    await take(plainer);
  }
  return { smallest, alone: true };
}
