/** The header of a 101 that tells a device what the cloud allows it, in lower case (PROTOCOL.md §1.9). */
export const LIMITS_HEADER = 'x-fedecks-limits';

/** What a cloud allows a device. */
export interface Limits {
  /** How many frames a device may send in a second; undefined for any number. */
  readonly framesPerSecond: number | undefined;
}

const FRAMES_PER_SECOND = 'frames-per-second';

/** The value of the header. */
export function encodeLimits({ framesPerSecond }: Limits): string {
  return framesPerSecond === undefined ? '' : `${FRAMES_PER_SECOND}=${framesPerSecond}`;
}

/** Reads the header: names that are not known, and values that are no whole number from 1 on, are passed over. */
export function decodeLimits(value: string | readonly string[] | undefined): Limits {
  const entries = typeof value === 'string' ? value.split(',') : [];
  const numbers = new Map(
    entries.flatMap((entry) => {
      const [, name = '', number] = /^\s*([a-z-]+)=([1-9]\d{0,8})\s*$/.exec(entry) ?? [];
      return number === undefined ? [] : [[name, Number(number)] as const];
    }),
  );
  return { framesPerSecond: numbers.get(FRAMES_PER_SECOND) };
}
