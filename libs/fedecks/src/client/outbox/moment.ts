import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';

/** A point in time, as a machine knows it whose wall clock may be wrong. */
export interface Moment {
  /** Identifies the boot of the machine: 32 hexadecimal digits. */
  readonly bootId: string;
  /** Milliseconds since that boot. They also run while the machine sleeps, on Linux. */
  readonly monotonicMs: number;
  /** Milliseconds since 1970 by the wall clock. */
  readonly wallMs: number;
}

/** A wall clock outside of these years has not been set, or is broken. */
const EARLIEST_MS = Date.UTC(2025, 0, 1);
const LATEST_MS = Date.UTC(2100, 0, 1);

/**
 * How long ago `put` was, in milliseconds; -1 if that is unknown. Within a boot the monotonic clock says it exactly.
 * Across boots the wall clock does, if both times are plausible. A time is never invented.
 */
export function ageOf(put: Moment, now: Moment): number {
  if (put.bootId === now.bootId && put.monotonicMs <= now.monotonicMs) {
    return now.monotonicMs - put.monotonicMs;
  }
  const isKnown = isPlausible(put.wallMs) && isPlausible(now.wallMs) && put.wallMs <= now.wallMs;
  return isKnown ? now.wallMs - put.wallMs : -1;
}

function isPlausible(wallMs: number): boolean {
  return wallMs >= EARLIEST_MS && wallMs < LATEST_MS;
}

let bootId: string | undefined;

export function momentNow(): Moment {
  bootId ??= readBootId();
  return { bootId, monotonicMs: monotonicNow(), wallMs: Date.now() };
}

/**
 * On Linux, `uptime` also counts sleep, which `hrtime` does not. In a container `uptime` may begin with the container
 * and not with the boot: then it is the smaller one.
 */
export function monotonicNow(): number {
  const running = process.hrtime.bigint() / 1_000_000n;
  return Math.max(Number(running), Math.floor(uptime() * 1_000));
}

function readBootId(): string {
  try {
    const id = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').replace(/[^0-9a-f]/g, '');
    if (id.length === 32) return id;
  } catch {
    // Not Linux.
  }
  return deriveBootId(Date.now(), uptime());
}

/**
 * A boot id for systems that have none: the time of the boot. Without a plausible clock each boot would seem to be at
 * the same time, so the id is random then, and ages across processes are unknown.
 */
export function deriveBootId(wallMs: number, uptimeSeconds: number): string {
  if (!isPlausible(wallMs)) return randomBytes(16).toString('hex');
  const bootedAt = Math.round((wallMs / 1_000 - uptimeSeconds) / 10);
  return createHash('sha256').update(`boot ${bootedAt}`).digest('hex').slice(0, 32);
}
