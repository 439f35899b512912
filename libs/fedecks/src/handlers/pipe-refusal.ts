/** How much, in characters, is told of what a pipe refused: a device can send as many wrong properties as it likes. */
const MAX_CHARS = 500;

/** What is wrong, by what a pipe threw: filters and the application see that as it is. */
const refusals = new WeakMap<object, string>();

/**
 * Keeps in mind that a pipe refused what a device had sent, if that is what the error says: it is no fault of the
 * handler's.
 * @param handler whose pipe it was: `Class.method`.
 * @param property the one that `@Payload('property')` names, if it does.
 */
export function noteRefusal(error: unknown, handler: string, property: unknown): void {
  if (typeof error !== 'object' || error === null) return;
  try {
    const problems = problemsIn(error);
    if (problems === undefined) return;
    const where = typeof property === 'string' ? `property '${property}': ` : '';
    refusals.set(error, `${handler}: ${where}${problems.join('; ')}`.slice(0, MAX_CHARS));
  } catch {
    // Of what the application has made of its error, a getter may throw: then it is an error as any other.
  }
}

/** What was wrong with what a device sent, if this is the error of a pipe that refused it. */
export function refusalOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null ? refusals.get(error) : undefined;
}

/** An HttpException that blames the peer, or a WsException: those of another copy of Nest, too. */
interface Exception {
  readonly getStatus?: () => unknown;
  readonly getResponse?: () => unknown;
  readonly getError?: () => unknown;
}

function problemsIn(exception: Exception): readonly string[] | undefined {
  if (typeof exception.getStatus === 'function' && typeof exception.getResponse === 'function') {
    const status = exception.getStatus();
    if (typeof status !== 'number' || status >= 500) return undefined;
    return problemsOf(exception.getResponse());
  }
  return typeof exception.getError === 'function' ? problemsOf(exception.getError()) : undefined;
}

/** The sentences of a pipe: a string, a list of them, or the errors of class-validator, of which values are left out. */
function problemsOf(response: unknown, path = ''): readonly string[] {
  if (typeof response === 'string') return [response];
  if (Array.isArray(response)) return response.flatMap((each: unknown) => problemsOf(each, path));
  if (typeof response !== 'object' || response === null) return [];
  const { message, property, constraints, children } = response as Partial<Record<string, unknown>>;
  if (typeof property !== 'string') return message === undefined ? [] : problemsOf(message, path);
  const own = Object.values(constraints ?? {}).filter((each) => typeof each === 'string');
  const inside = `${path}${property}.`;
  return [
    ...own.map((each) => (path === '' ? each : `${path}${each}`)),
    ...problemsOf(children ?? [], inside),
  ];
}
