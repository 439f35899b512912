import { TermEncodeError } from './errors.js';
import { ImproperList } from './term.js';

/** The name of a property, or the index of an element. */
export type Key = string | number;

/** More of a path than this says nothing to anybody. */
const MAX_KEYS_SHOWN = 20;

/** How JavaScript would reach it from the term `$`: `$.readings[3]["a b"]`. */
export function pathOf(keys: readonly Key[]): string {
  const steps = keys.slice(0, MAX_KEYS_SHOWN).map((key) => {
    if (typeof key === 'number') return `[${key}]`;
    return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
  });
  return `$${steps.join('')}${keys.length > MAX_KEYS_SHOWN ? '...' : ''}`;
}

/** Thrown where writing has come too deep. Why is only asked then: {@link nestingError}. */
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
  return new TermEncodeError('out-of-range', '$', `is nested more than ${maxDepth} deep, or than the stack`);
}

/** Getters may make ever new objects: there is no end to them. */
const MAX_STEPS = 100_000;

/** The path of the first value met that is among those it is in. */
function cycleIn(term: unknown): Key[] | undefined {
  const open = [{ value: term, entries: entriesOf(term) }];
  const keys: Key[] = [];
  const done = new Set<unknown>();
  for (let step = 0; step < MAX_STEPS; step++) {
    const last = open.at(-1);
    if (!last) return undefined;
    const entry = last.entries.pop();
    if (!entry) {
      done.add(last.value);
      open.pop();
      keys.pop();
      continue;
    }
    const [key, value] = entry;
    if (typeof value !== 'object' || value === null || done.has(value)) continue;
    if (open.some((each) => each.value === value)) return [...keys, key];
    keys.push(key);
    open.push({ value, entries: entriesOf(value) });
  }
  return undefined;
}

/** The last comes first. */
function entriesOf(value: unknown): [Key, unknown][] {
  if (value instanceof ImproperList) return entriesOf(value.elements);
  if (Array.isArray(value))
    return value.map((each: unknown, index): [Key, unknown] => [index, each]).reverse();
  if (value instanceof Map)
    return [...(value as ReadonlyMap<unknown, unknown>)].map(([key, each]) => [String(key), each]);
  return Object.entries(value as object).reverse();
}
