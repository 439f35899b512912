/** What a field may hold. */
export interface Field {
  readonly isValid: (value: unknown) => boolean;
  /** Ends the sentence `name must be ...`. */
  readonly must: string;
}

/** The cloud may send any number of unknown fields, with names of any length. */
const MAX_UNKNOWN = 8;
const MAX_NAME_CHARACTERS = 60;

/** Everything that is wrong with an object whose fields are optional, a sentence each. Shows names, but no values. */
export function problemsOf(value: unknown, fields: Readonly<Record<string, Field>>): string[] {
  const known = Object.keys(fields).join(', ');
  if (!isPlainObject(value)) return [`it must be an object (fields: ${known})`];
  const problems = Object.entries(fields)
    .filter(([name, { isValid }]) => Object.hasOwn(value, name) && !isValid(value[name]))
    .map(([name, { must }]) => `${name} must be ${must}`);
  const unknown = Object.keys(value).filter((name) => !Object.hasOwn(fields, name));
  if (unknown.length === 0) return problems;
  const shown = unknown
    .slice(0, MAX_UNKNOWN)
    .map((name) => JSON.stringify(name.slice(0, MAX_NAME_CHARACTERS)));
  const others = unknown.length > MAX_UNKNOWN ? ` and ${unknown.length - MAX_UNKNOWN} others` : '';
  return [...problems, `${shown.join(', ')}${others}: unknown (fields: ${known})`];
}

/** Terms also are maps, bytes, atoms, numbers of other kinds. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** A whole number within limits, both included. */
export function wholeNumber(minimum: number, maximum: number, unit = ''): Field {
  return {
    isValid: (value) =>
      Number.isInteger(value) && (value as number) >= minimum && (value as number) <= maximum,
    must: `a whole number${unit === '' ? '' : ` of ${unit}`}, from ${minimum} to ${maximum}`,
  };
}
