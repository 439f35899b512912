/** The request header that names an attempt to connect, in lower case (PROTOCOL.md §1.7). */
export const ATTEMPT_HEADER = 'x-fedecks-attempt';

/** One attempt of a device to connect: which process made it, and how many that process had made by then. */
export interface Attempt {
  /** 16 random bytes of the process, in base64url without padding. */
  readonly process: string;
  /** From 1 on; at most 15 digits. */
  readonly number: number;
}

/** 16 bytes in base64url, and a number that a double holds exactly. */
const ATTEMPT = /^([\w-]{22})\/([1-9]\d{0,14})$/;

/** The value of the header. */
export function encodeAttempt({ process, number }: Attempt): string {
  return `${process}/${number}`;
}

/** The attempt a header names; undefined if there is none, or anything else in it. */
export function decodeAttempt(value: string | readonly string[] | undefined): Attempt | undefined {
  const [, process, number] = (typeof value === 'string' && ATTEMPT.exec(value)) || [];
  return process === undefined ? undefined : { process, number: Number(number) };
}
