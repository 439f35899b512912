/**
 * Where messages are written: one after another into a slab, of which each message returned is a part. What has
 * been returned is never written to again. Writers are handed the position to write at, and return where they
 * ended; {@link room} says where it has come to when a message had to move to a larger place.
 */

/** Large enough to be made seldom, and small enough that one message kept does not keep much. */
const SLAB_BYTES = 16 * 1024;
/** A message larger than this has a place of its own: it would keep too much of a slab from others. */
const LARGE_BYTES = SLAB_BYTES / 2;
/** A slab with less than this left is not worth beginning in. */
const LEAST_BYTES = 64;

/** Made as Node makes its own views of its pool: a third of the time `subarray` takes. */
const { [Symbol.species]: View } = Buffer as unknown as {
  readonly [Symbol.species]: new (memory: ArrayBufferLike, offset: number, length: number) => Buffer;
};

/** Where to write. */
export let out = Buffer.allocUnsafeSlow(SLAB_BYTES);
/** The same bytes, for numbers of more than one. */
export let view = new DataView(out.buffer);
/** Where the message being written begins. */
export let start = 0;
/** Where the next one will. */
let next = 0;

/** The message does not fit its limit. */
export class TooLarge extends Error {}

/** How much may be written: the limit of the message and its gap. */
let most = 0;

/**
 * Begins a message of at most `maxBytes` behind a gap of `gap` bytes, and returns the position of its first byte.
 * What an earlier one that was given up has left is written over.
 */
export function begin(gap: number, maxBytes: number): number {
  most = gap + maxBytes;
  if (out.length !== SLAB_BYTES || SLAB_BYTES - next < LEAST_BYTES + gap) place(SLAB_BYTES);
  start = next;
  return room(start, gap + LEAST_BYTES) + gap;
}

/** Ends the message at `at`, and returns it and its gap. */
export function finish(at: number): Buffer {
  if (at - start > most) throw new TooLarge();
  next = at;
  return new View(out.buffer, start, at - start);
}

/** Makes room for `length` bytes at `at`, and returns where that is now. */
export function room(at: number, length: number): number {
  return at + length <= out.length ? at : move(at, length);
}

function move(at: number, length: number): number {
  const from = out;
  const begun = start;
  const needed = at - begun + length;
  // What is made room for may be more than what is written, though not by so much.
  if (needed > most + SLAB_BYTES) throw new TooLarge();
  place(needed <= LARGE_BYTES ? SLAB_BYTES : needed + Math.max(needed >> 1, LARGE_BYTES));
  from.copy(out, 0, begun, at);
  return at - begun;
}

function place(bytes: number): void {
  out = Buffer.allocUnsafeSlow(bytes);
  view = new DataView(out.buffer);
  start = 0;
  next = 0;
}

/** Suspends the current message for a nested one. Returns a function that resumes it. */
export function putAside(): () => void {
  const aside = { out, view, start, next, most };
  place(SLAB_BYTES);
  return () => {
    ({ out, view, start, next, most } = aside);
  };
}
