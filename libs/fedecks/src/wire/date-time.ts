import { atom, Atom, type Term, Tuple, tuple } from './term.js';

const STRUCT = 'Elixir.DateTime';
const CALENDAR = 'Elixir.Calendar.ISO';
/** A map of another size is none. */
export const DATE_TIME_FIELDS = 13;
const MAX_YEAR = 9999;

/**
 * The `Date` a UTC `DateTime` of Elixir is, or undefined for any other map. Microseconds beyond the millisecond are cut
 * off.
 */
export function dateIn(map: Readonly<Record<string, Term>>): Date | undefined {
  const struct = map['__struct__'];
  if (!(struct instanceof Atom) || struct.name !== STRUCT || Object.keys(map).length !== DATE_TIME_FIELDS)
    return undefined;
  const { calendar, year, month, day, hour, minute, second, microsecond } = map;
  if (!(calendar instanceof Atom) || calendar.name !== CALENDAR || map['time_zone'] !== 'Etc/UTC')
    return undefined;
  if (map['utc_offset'] !== 0 || map['std_offset'] !== 0 || !(microsecond instanceof Tuple)) return undefined;
  const parts = [year, month, day, hour, minute, second, microsecond[0]];
  if (!parts.every((part) => typeof part === 'number')) return undefined;
  const [y, mo, d, h, mi, s, us] = parts as [number, number, number, number, number, number, number];
  const date = new Date(0);
  date.setUTCFullYear(y, mo - 1, d);
  date.setUTCHours(h, mi, s, Math.floor(us / 1000));
  // The 31st of February is no date: it stays the map it was sent as.
  return date.getUTCFullYear() === y &&
    date.getUTCMonth() === mo - 1 &&
    date.getUTCDate() === d &&
    date.getUTCHours() === h
    ? date
    : undefined;
}

const STRUCT_ATOM = atom(STRUCT);
const CALENDAR_ATOM = atom(CALENDAR);

/**
 * The `DateTime` of a date, or undefined for one Elixir's calendar does not reach: an invalid date, or a year beyond
 * 9999.
 */
export function dateTimeOf(date: Date): ReadonlyMap<Term, Term> | undefined {
  const year = date.getUTCFullYear();
  if (Number.isNaN(year) || Math.abs(year) > MAX_YEAR) return undefined;
  const fields: Record<string, Term> = {
    __struct__: STRUCT_ATOM,
    calendar: CALENDAR_ATOM,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    microsecond: tuple(date.getUTCMilliseconds() * 1000, 3),
    minute: date.getUTCMinutes(),
    month: date.getUTCMonth() + 1,
    second: date.getUTCSeconds(),
    std_offset: 0,
    time_zone: 'Etc/UTC',
    utc_offset: 0,
    year,
    zone_abbr: 'UTC',
  };
  return new Map(Object.entries(fields).map(([name, value]) => [atom(name), value]));
}
