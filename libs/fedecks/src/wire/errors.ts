/** The base of the errors of this library. `code` is a closed union in each of them. */
export class FedecksError extends Error {
  override readonly name: string = 'FedecksError';

  constructor(
    /** What went wrong, for a program to tell apart; the message is for people. */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Why bytes are no term:
 * - `truncated`: they end before the term does, or a length in them is larger than what is there.
 * - `bad-version`: they do not begin with 131.
 * - `unknown-tag`: an undefined tag, or one that is not allowed in a message.
 * - `unsafe`: a fun, an export or a port; or a compressed term where none is allowed.
 * - `duplicate-key`: a map has a key twice.
 * - `too-deep`: nested beyond `maxDepth`.
 * - `too-large`: beyond `maxBytes`, or inflating beyond it or beyond what `compressed` allows.
 * - `too-many`: more elements than `maxElements`.
 * - `invalid`: a value that cannot be: an infinity, an atom that is not UTF-8, a compressed term of another size than
 * it claims.
 */
export type TermDecodeCode =
  | 'truncated'
  | 'bad-version'
  | 'unknown-tag'
  | 'unsafe'
  | 'duplicate-key'
  | 'too-deep'
  | 'too-large'
  | 'too-many'
  | 'invalid';

/** Bytes that are no safe term. */
export class TermDecodeError extends FedecksError {
  override readonly name = 'TermDecodeError';
  /** Why they are none. */
  declare readonly code: TermDecodeCode;

  constructor(
    code: TermDecodeCode,
    /** Where it was noticed, in bytes from the start; in a compressed term, of what it inflates to. */
    readonly offset: number,
  ) {
    super(code, `not a term: ${code} at byte ${offset}`);
  }
}

/** A value that is no term: `unsupported-type`, or one of a supported type that does not fit: `out-of-range`. */
export class TermEncodeError extends FedecksError {
  override readonly name = 'TermEncodeError';
  /** What is wrong with it. */
  declare readonly code: 'unsupported-type' | 'out-of-range';

  constructor(
    code: 'unsupported-type' | 'out-of-range',
    /** Where the value stands in what was given: `$.readings[3]`. */
    readonly path: string,
    problem: string,
  ) {
    super(code, `${path} ${problem}`);
  }
}

/** A message that cannot be sent: the other side would take it for a token or a control message (PROTOCOL.md §2.8, §6.2). */
export class ReservedMessageError extends FedecksError {
  override readonly name = 'ReservedMessageError';

  constructor() {
    super(
      'reserved-message',
      "A tuple that begins with the charlist 'token', 'request' or another one of the protocol would be taken for " +
        "a message of the protocol. Write its name as a string: tuple('token', ...).",
    );
  }
}
