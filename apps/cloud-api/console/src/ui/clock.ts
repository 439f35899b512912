import { signal } from '@preact/signals';

/** How often, in milliseconds, relative times are shown anew. */
const TICK_MS = 10_000;

/** By how many milliseconds the clock of the cloud is ahead of the viewer's. */
let aheadMs = 0;

/** The time by the clock of the cloud, in milliseconds since 1970. */
export function cloudNow(): number {
  return Date.now() + aheadMs;
}

/** The same, a few seconds old: whoever shows it is drawn again when it changes. */
export const recentNow = signal(cloudNow());
setInterval(() => (recentNow.value = cloudNow()), TICK_MS);

/** Takes the time of the cloud, which has just said it. @param at ISO 8601. */
export function setCloudTime(at: string): void {
  aheadMs = Date.parse(at) - Date.now();
  recentNow.value = cloudNow();
}
