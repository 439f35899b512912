import { EXIT, type ExitStatus } from '../exit.js';

/** The steps of `check`, in order. */
export type StepName = 'dns' | 'tcp' | 'proxy' | 'tls' | 'upgrade';

/** A failed step, and what to do. */
export class StepFailure extends Error {
  constructor(
    readonly step: StepName,
    problem: string,
    /** What to look at, the likeliest first. */
    readonly advice: readonly string[],
    readonly status: ExitStatus = EXIT[step],
  ) {
    super(problem);
  }
}

/** Prints the result of a step. */
export type Report = (step: StepName, detail: string) => void;

/** How long each step may take. */
export interface Patience {
  readonly timeoutMs: number;
  /** Ctrl-C. */
  readonly signal: AbortSignal;
}

/**
 * Waits for work, until the timeout or Ctrl-C.
 * @param work receives a signal that aborts then.
 * @throws {TimeoutError} (rejects) at the timeout.
 */
export async function within<T>(
  { timeoutMs, signal }: Patience,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), timeoutMs);
  const either = AbortSignal.any([signal, timeout.signal]);
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = (): void => reject(new TimeoutError(timeoutMs));
    either.addEventListener('abort', onAbort);
    if (either.aborted) onAbort();
  });
  try {
    return await Promise.race([work(either), aborted]);
  } finally {
    clearTimeout(timer);
    either.removeEventListener('abort', onAbort);
  }
}

export class TimeoutError extends Error {
  readonly code = 'TIMEOUT';

  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs / 1000} s`);
  }
}

/** The error code of the system, of OpenSSL or of Node. */
export function codeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' ? code : 'unknown error';
}
