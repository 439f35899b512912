import { FedecksError } from '../wire/internal.js';

/** Options that cannot work. Thrown once, at start, with everything that is wrong with them. */
export class InvalidOptionsError extends FedecksError {
  override readonly name = 'InvalidOptionsError';

  constructor(
    subject: string,
    /** One sentence for each problem, each saying what to change. */
    readonly problems: readonly string[],
  ) {
    super('invalid-options', `${subject}: ${problems.join(' ')}`);
  }
}

/**
 * @param remedy what to change, as a clause: `return an object with options from the 'useFactory'`.
 * @throws {InvalidOptionsError} when the options are no object, as of a factory without a `return`.
 */
export function checkGiven(subject: string, given: unknown, remedy: string): void {
  if (typeof given === 'object' && given !== null) return;
  throw new InvalidOptionsError(subject, [`The options are ${shown(given)}: ${remedy}.`]);
}

/** @throws {InvalidOptionsError} when a module is imported without its `forRoot`. */
export function checkConfigured(module: string, configured: unknown): void {
  if (configured !== undefined) return;
  throw new InvalidOptionsError(module, [
    `The module has no options: import ${module}.forRoot({ ... }) or ${module}.forRootAsync({ ... }).`,
  ]);
}

/**
 * @param method what a class that gives options must have.
 * @throws {InvalidOptionsError} when nothing is said of where the options come from.
 */
export function checkSource(subject: string, asked: unknown, method: string): void {
  const { useFactory, useClass, useExisting } = (asked ?? {}) as Partial<Record<string, unknown>>;
  if (typeof useFactory === 'function' || typeof useClass === 'function' || useExisting !== undefined) return;
  throw new InvalidOptionsError(subject, [
    `Set 'useFactory' to a function, or 'useClass' or 'useExisting' to a class with ${method}().`,
  ]);
}

/** @throws {InvalidOptionsError} when the class that shall give options has no such method. */
export function checkFactory<Method extends string>(
  subject: string,
  factory: Partial<Record<Method, unknown>>,
  method: Method,
): void {
  if (typeof factory[method] === 'function') return;
  throw new InvalidOptionsError(subject, [`${factory.constructor.name} has no method ${method}().`]);
}

/** Collects what is wrong with the options somebody gave, so that all of it is said at once. */
export class OptionsCheck<T extends object> {
  private readonly problems: string[] = [];
  private readonly given: Partial<Record<keyof T, unknown>>;

  /**
   * @param subject what the options belong to, as the developer wrote it: `FedecksModule.forRoot`.
   * @param known every option there is.
   */
  constructor(
    private readonly subject: string,
    given: unknown,
    known: readonly (keyof T & string)[],
  ) {
    const isObject = typeof given === 'object' && given !== null;
    if (!isObject) this.problem('The options must be an object.');
    this.given = isObject ? given : {};
    for (const key of Object.keys(this.given)) {
      if ((known as readonly string[]).includes(key)) continue;
      const near = nearest(key, known);
      this.problem(
        `Option '${key}' does not exist${near ? `: did you mean '${near}'?` : ` (have: ${known.join(', ')}).`}`,
      );
    }
  }

  problem(sentence: string): void {
    this.problems.push(sentence);
  }

  /** A whole number of at least `min` and at most `max`, or undefined where none was given. */
  whole(key: keyof T & string, unit: string, min: number, max = Number.MAX_SAFE_INTEGER): void {
    const value = this.given[key];
    if (value === undefined) return;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return;
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    this.problem(`'${key}' must be a whole number of ${unit} ${range}, not ${shown(value)}.`);
  }

  oneOf(key: keyof T & string, values: readonly string[]): void {
    const value = this.given[key];
    if (value === undefined || values.includes(value as string)) return;
    this.problem(`'${key}' must be ${values.map((each) => `'${each}'`).join(' or ')}, not ${shown(value)}.`);
  }

  /** The problems so far, for options within others. */
  list(): readonly string[] {
    return this.problems;
  }

  /** @throws {InvalidOptionsError} if there was any problem. */
  done(): void {
    if (this.problems.length > 0) throw new InvalidOptionsError(this.subject, this.problems);
  }
}

/** A value that was given by mistake may be a secret: of strings only the length is told. */
function shown(value: unknown): string {
  if (typeof value === 'string') return `a string of ${value.length} characters`;
  return typeof value === 'number' || typeof value === 'boolean' || value === null
    ? String(value)
    : value === undefined
      ? 'undefined'
      : typeof value === 'object'
        ? 'an object'
        : `a ${typeof value}`;
}

function nearest(key: string, known: readonly string[]): string | undefined {
  const ranked = known.map((name) => ({ name, distance: distance(key.toLowerCase(), name.toLowerCase()) }));
  const best = ranked.sort((a, b) => a.distance - b.distance)[0];
  return best && best.distance <= Math.max(2, key.length / 3) ? best.name : undefined;
}

/** Levenshtein's edit distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
