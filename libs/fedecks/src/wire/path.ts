import { TermEncodeError } from './errors.js';
import { Atom, ImproperList } from './term.js';

/** The name of a property, or the index of an element. */
export type Key = string | number;

/** The maximum number of path steps. */
const MAX_KEYS_SHOWN = 20;
/** And of a key. */
const MAX_CHARACTERS_SHOWN = 64;

/** How JavaScript would reach it from the term `$`: `$.readings[3]["a b"]`. */
export function pathOf(keys: readonly Key[]): string {
  const steps = keys.slice(0, MAX_KEYS_SHOWN).map((key) => {
    if (typeof key === 'number') return `[${key}]`;
    const shown = key.length > MAX_CHARACTERS_SHOWN ? `${key.slice(0, MAX_CHARACTERS_SHOWN)}...` : key;
    return /^[A-Za-z_$][\w$]*$/.test(shown) ? `.${shown}` : `[${JSON.stringify(shown)}]`;
  });
  return `$${steps.join('')}${keys.length > MAX_KEYS_SHOWN ? '...' : ''}`;
}

/** What a path calls a key of a Map. */
export function nameOf(key: unknown): Key {
  if (typeof key === 'number' || typeof key === 'string') return key;
  return key instanceof Atom ? key.name : '(key)';
}

/** Thrown when the nesting limit is exceeded; {@link nestingError} then finds the reason. */
export class TooDeep extends Error {}

/** Whether writing came too deep: beyond its limit, or beyond the stack, which was used up far where it was called. */
export function isTooDeep(error: unknown): boolean {
  if (error instanceof TooDeep) return true;
  // A getter of what is written may throw a RangeError of its own, which is not ours to explain.
  return error instanceof RangeError && error.message === 'Maximum call stack size exceeded';
}

/** What to say of a term that is nested too deep: most of them contain themselves. */
export function nestingError(term: unknown, maxDepth: number): TermEncodeError {
  const cycle = cycleIn(term);
  if (cycle) return new TermEncodeError('unsupported-type', pathOf(cycle), 'contains itself');
  return new TermEncodeError(
    'out-of-range',
    '$',
    `is nested more than ${maxDepth} levels deep, or deeper than the stack allows`,
  );
}

/** Getters may make ever new objects: there is no end to them. */
const MAX_STEPS = 20_000;

/** The path of the first value met that is among those it is in. Linear in what is looked at. */
function cycleIn(term: unknown): Key[] | undefined {
  const open = [{ value: term, entries: entriesOf(term) }];
  const isOpen = new Set([term]);
  const keys: Key[] = [];
  const done = new Set<unknown>();
  for (let step = 0; step < MAX_STEPS; step++) {
    const last = open.at(-1);
    if (!last) return undefined;
    const entry = last.entries.next();
    if (entry.done === true) {
      done.add(last.value);
      isOpen.delete(last.value);
      open.pop();
      keys.pop();
      continue;
    }
    const [key, value] = entry.value;
    if (typeof value !== 'object' || value === null || done.has(value)) continue;
    if (isOpen.has(value)) return [...keys, key];
    keys.push(key);
    isOpen.add(value);
    open.push({ value, entries: entriesOf(value) });
  }
  return undefined;
}

function* entriesOf(value: unknown): Generator<[Key, unknown]> {
  if (value instanceof ImproperList) {
    yield* entriesOf(value.elements);
  } else if (Array.isArray(value)) {
    yield* (value as unknown[]).entries();
  } else if (value instanceof Map) {
    for (const [key, each] of value as ReadonlyMap<unknown, unknown>) yield [nameOf(key), each];
  } else {
    yield* Object.entries(value as object);
  }
}
