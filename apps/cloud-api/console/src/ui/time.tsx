import { recentNow } from './clock.js';

const DAY_MS = 86_400_000;
/** What is farther away is shown as a date. */
const FAR_MS = 7 * DAY_MS;
const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['day', DAY_MS],
  ['hour', 3_600_000],
  ['minute', 60_000],
];
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'short' });
const local = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const localDate = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });

interface Props {
  /** ISO 8601. */
  readonly at: string | null | undefined;
  /** As "3 h ago" or "in 2 days". */
  readonly isRelative?: boolean;
}

/** A time in the zone of the viewer, with the exact UTC on hover. */
export function Time({ at, isRelative = false }: Props) {
  if (!at) return <span class="quiet">never</span>;
  const date = new Date(at);
  return (
    <time dateTime={at} title={date.toISOString()}>
      {isRelative ? relativeText(date) : local.format(date)}
    </time>
  );
}

function relativeText(date: Date): string {
  const ms = date.getTime() - recentNow.value;
  if (Math.abs(ms) >= FAR_MS) return localDate.format(date);
  const step = STEPS.find(([, length]) => Math.abs(ms) >= length);
  return step ? relative.format(Math.trunc(ms / step[1]), step[0]) : relative.format(0, 'second');
}
