const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
] as const;

/** How long milliseconds are, as a person says it: `37 min`. */
export function durationOf(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const [unit, length] = UNITS.find(([, unitLength]) => seconds >= unitLength) ?? ['s', 1];
  return `${Math.floor(seconds / length)} ${unit}`;
}
