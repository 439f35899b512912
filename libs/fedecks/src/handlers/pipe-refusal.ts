/** The maximum characters of a report: a device can send any number of invalid properties. */
const MAX_CHARS = 500;

/** How many payload values to search for in the message of a pipe. */
const MAX_VALUES = 10_000;
/** The maximum length of the searched message. */
const MAX_QUOTED_CHARS = 5_000;
/** A shorter value may occur in any sentence by chance. */
const MIN_VALUE_CHARS = 4;

/** Reports by pipe error. Filters and the application see the error unchanged. */
const refusals = new WeakMap<object, string>();

/**
 * Remembers that an error means that a pipe rejected a payload, and not that the handler failed.
 * @param handler the handler of the pipe: `Class.method`.
 * @param property the property in `@Payload('property')`, if any.
 * @param refused the input of the pipe, whose values are removed from its message.
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
    // A getter of the application's error may throw: then it counts as an ordinary error.
  }
}

/** Why a pipe rejected a payload, if this is the error of a pipe. */
export function refusalOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null ? refusals.get(error) : undefined;
}

/** An HttpException that blames the peer, or a WsException, also of another copy of Nest. */
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

/** The messages of a pipe: a string, a list, or the errors of class-validator, without values. */
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

/** Whole sentences up to about this length: a truncated value would not be found. */
function upTo(maxChars: number, sentences: readonly string[]): string {
  let text = '';
  for (const each of sentences) {
    if (text.length >= maxChars) break;
    text += text === '' ? each : `; ${each}`;
  }
  return text;
}

/** Removes payload values, which a message may quote, as `$value` in class-validator. */
function withoutValues(text: string, refused: unknown): string {
  const values = new Set<string>();
  const names = new Set<string>();
  const open = [refused];
  for (let seen = 0; open.length > 0; seen++) {
    // Too much to search: the report still has the handler, and perhaps the property.
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
