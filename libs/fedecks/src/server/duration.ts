/** A duration: in milliseconds, or with a unit: '90s', '15m', '3h', '28d'. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** In milliseconds; undefined for an invalid {@link Duration}, and for less than a millisecond. */
export function durationMs(value: unknown): number | undefined {
  let millis = value;
  if (typeof value === 'string') {
    const [, amount, unit = ''] = /^(\d{1,15}(?:\.\d{1,15})?) ?(ms|[smhd])$/i.exec(value) ?? [];
    millis = Number(amount) * (UNIT_MS[unit.toLowerCase()] ?? NaN);
  }
  return typeof millis === 'number' && Number.isFinite(millis) && millis >= 1 ? millis : undefined;
}
