import { type Attempt } from '../wire/internal.js';

/** The minimum retention of replaced processes, in ms. */
const WINDOW_MS = 10 * 60_000;
/** How many devices one window remembers. */
const MAX_DEVICES = 10_000;
/** How many processes of a device are remembered. */
const MAX_PROCESSES = 4;

/** What this node needs to know of a newer connection on another node. */
export interface NewerConnection {
  /** The attempt of the device, if the device named it. */
  readonly attempt?: Attempt | undefined;
  /** The address of its device. */
  readonly remoteAddress: string;
  /** Its node knows that two machines use the device id, and rejects the other one (`clones: 'refuse'`). */
  readonly refusesClones?: boolean | undefined;
}

/** A connection that another process has replaced. */
export interface ReplacedProcess {
  /** As in the header that names attempts (PROTOCOL.md §1.7). */
  readonly process: string;
  /** Its address. */
  readonly remoteAddress: string;
}

/** What one node knows of the machines that use a device id, for the next node that holds the device. */
export interface CloneTrace {
  /** Oldest first. */
  readonly replaced: readonly ReplacedProcess[];
  /** Whether two machines use the device id. */
  readonly isSuspected: boolean;
}

interface Trace {
  replaced: ReplacedProcess[];
  isSuspected: boolean;
}

/**
 * Detects two machines with one device id, for example started from one disk image. A restarted program
 * never returns as the same process. So if a process is replaced by another and then returns,
 * both run (PROTOCOL.md §1.8).
 *
 * Only connections that have sent something count: a request of a process that has ended may still arrive.
 */
export class Clones {
  private current = new Map<string, Trace>();
  private previous = new Map<string, Trace>();
  private windowEnds = 0;

  /**
   * Notes that a connection was replaced by one of another process.
   * @param now by a monotonic clock, in ms.
   * @returns the address of the other machine, if there must be two by now.
   */
  onReplaced(
    deviceId: string,
    { process }: Attempt,
    remoteAddress: string,
    now = performance.now(),
  ): string | undefined {
    const { replaced } = this.traceFor(deviceId, now);
    const before = replaced.findLastIndex((each) => each.process === process);
    const other = before < 0 ? undefined : replaced[before + 1];
    // Replaced by a connection that never sent anything: it is still the current process.
    if (replaced.at(-1)?.process === process) replaced.pop();
    replaced.push({ process, remoteAddress });
    if (replaced.length > MAX_PROCESSES) replaced.shift();
    if (other) this.traceFor(deviceId, now).isSuspected = true;
    return other?.remoteAddress;
  }

  /** Whether two machines used the device id within the last ten to twenty minutes. */
  isSuspected(deviceId: string, now = performance.now()): boolean {
    this.rotate(now);
    return (this.current.get(deviceId) ?? this.previous.get(deviceId))?.isSuspected ?? false;
  }

  /** Renews the suspicion after a rejected clone. */
  onRefused(deviceId: string, now = performance.now()): void {
    this.traceFor(deviceId, now).isSuspected = true;
  }

  /** What this node knows, for the next one that holds the device. */
  traceOf(deviceId: string, now = performance.now()): CloneTrace | undefined {
    this.rotate(now);
    return this.current.get(deviceId) ?? this.previous.get(deviceId);
  }

  /** Takes over what the previous node of the device knows. */
  adopt(deviceId: string, { replaced, isSuspected }: CloneTrace, now = performance.now()): void {
    const trace = this.traceFor(deviceId, now);
    trace.replaced = replaced.slice(-MAX_PROCESSES);
    trace.isSuspected ||= isSuspected;
  }

  private traceFor(deviceId: string, now: number): Trace {
    this.rotate(now);
    const trace = this.current.get(deviceId) ??
      this.previous.get(deviceId) ?? { replaced: [], isSuspected: false };
    if (this.current.size < MAX_DEVICES) this.current.set(deviceId, trace);
    return trace;
  }

  private rotate(now: number): void {
    if (now < this.windowEnds) return;
    this.previous = now < this.windowEnds + WINDOW_MS ? this.current : new Map<string, Trace>();
    this.current = new Map();
    this.windowEnds = now + WINDOW_MS;
  }
}
