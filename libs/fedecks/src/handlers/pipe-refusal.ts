/** How much, in characters, is told of what a pipe refused: a device can send as many wrong properties as it likes. */
const MAX_CHARS = 500;

/** How many values of what a device has sent are looked for in what a pipe says of it. */
const MAX_VALUES = 10_000;
/** How much text they are looked for in. */
const MAX_QUOTED_CHARS = 5_000;
/** What is shorter stands in any sentence by chance. */
const MIN_VALUE_CHARS = 4;

/** What is wrong, by what a pipe threw: filters and the application see that as it is. */
const refusals = new WeakMap<object, string>();

/**
 * Keeps in mind that a pipe refused what a device had sent, if that is what the error says: it is no fault of the
 * handler's.
 * @param handler whose pipe it was: `Class.method`.
 * @param property the one that `@Payload('property')` names, if it does.
 * @param refused what the pipe was given: its values are taken out of what the pipe says.
 */
export function noteRefusal(error: unknown, handler: string, property: unknown, refused: unknown): void {
  if (typeof error !== 'object' || error === null) return;
  try {
    const problems = problemsIn(error);
    if (problems === undefined) return;
    const where = typeof property === 'string' ? `property '${property}': ` : '';
    const what = withoutValues(upTo(MAX_CHARS, problems), refused);
    refusals.set(error, `${handler}: ${where}${what}`.slice(0, MAX_CHARS));
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

/** The sentences that make up so many characters, whole ones: a value that is cut would not be found. */
function upTo(maxChars: number, sentences: readonly string[]): string {
  let text = '';
  for (const each of sentences) {
    if (text.length >= maxChars) break;
    text += text === '' ? each : `; ${each}`;
  }
  return text;
}

/** A sentence of the application's may quote what was sent, as `$value` does in one of class-validator. */
function withoutValues(text: string, refused: unknown): string {
  const values = new Set<string>();
  const names = new Set<string>();
  const open = [refused];
  for (let seen = 0; open.length > 0; seen++) {
    // Too much to look at: it has a handler, and perhaps a property.
    if (seen > MAX_VALUES || text.length > MAX_QUOTED_CHARS) return 'refused';
    const each = open.pop();
    if (typeof each === 'string' || typeof each === 'number' || typeof each === 'bigint') {
      values.add(String(each));
    } else if (each instanceof Map) {
      for (const [key, value] of each as Map<unknown, unknown>) open.push(key, value);
    } else if (Array.isArray(each)) {
      for (const value of each as unknown[]) open.push(value);
    } else if (typeof each === 'object' && each !== null && !ArrayBuffer.isView(each)) {
      for (const [name, value] of Object.entries(each)) {
        names.add(name);
        open.push(value);
      }
    }
  }
  return [...values]
    .filter((value) => value.length >= MIN_VALUE_CHARS && !names.has(value))
    .sort((a, b) => b.length - a.length)
    .reduce((shown, value) => shown.replaceAll(value, '(a value)'), text);
}
