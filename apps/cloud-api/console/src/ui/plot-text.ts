const DAY_S = 86_400;

const number = new Intl.NumberFormat(undefined, { notation: 'compact', maximumSignificantDigits: 5 });
const second = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const minute = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** A number that is read at a glance. */
export function shortNumber(value: number | null): string {
  return value === null ? '' : number.format(value);
}

/** A time on an axis, in the zone of the viewer. @param step from one to the next, in seconds. */
export function axisTime(seconds: number, step: number): string {
  const format = step < 60 ? second : step < DAY_S ? minute : day;
  return format.format(seconds * 1_000);
}

/** The time that the viewer points at. */
export function exactTime(seconds: number | null): string {
  return seconds === null ? '--' : exact.format(seconds * 1_000);
}
