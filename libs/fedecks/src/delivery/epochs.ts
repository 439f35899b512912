import { type Position } from './terms.js';

/** The numbers from here on, up to the next span, were put in under this epoch. */
export interface Span {
  /** Names the process. */
  readonly epoch: string;
  /** Its first number. */
  readonly from: number;
}

/** The epoch of a number that was put in. */
export function epochOf(spans: readonly Span[], seq: number): string | undefined {
  return spans.findLast(({ from }) => from <= seq)?.epoch;
}

export function extend(spans: readonly Span[], { epoch, seq }: Position): readonly Span[] {
  return spans.at(-1)?.epoch === epoch ? spans : [...spans, { epoch, from: seq }];
}

/** Forgets the spans before the one that holds this number. */
export function trim(spans: readonly Span[], first: number): readonly Span[] {
  const index = spans.findLastIndex(({ from }) => from <= first);
  return index > 0 ? spans.slice(index) : spans;
}

/**
 * The last of my numbers that is at or before a position of the peer, or undefined if the position is not on my line.
 * The position may be beyond the end of its span, if a power cut took the rest: the numbers after that are others.
 */
export function lastUpTo(spans: readonly Span[], { epoch, seq }: Position): number | undefined {
  const index = spans.findLastIndex((span) => span.epoch === epoch && span.from <= seq);
  if (index === -1) return undefined;
  const end = spans[index + 1]?.from;
  return end === undefined ? seq : Math.min(seq, end - 1);
}
