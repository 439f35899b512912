import { type Attempt, CLONE_REASON } from '../wire/internal.js';
import { Clones, type CloneTrace, type NewerConnection } from './clones.js';
import { type ConnectedDevice, type SocketError } from './device.js';
import { type ResolvedOptions } from './fedecks-options.js';

const FLAPPING_WINDOW_MS = 60_000;
const FLAPPING_REPLACEMENTS = 5;

/** When a connection was asked for, and by which attempt of the device if it has named it. */
export interface Arrival {
  /** By a monotonic clock, in ms. */
  readonly askedAt: number;
  readonly attempt: Attempt | undefined;
}

/**
 * Whether one upgrade is older than another of the same device. The network may deliver attempts in another order than
 * they were made in, and an authenticator may answer in another order than it was asked: neither makes an old attempt
 * the newer one.
 */
export function isOlder(one: Arrival, other: Arrival): boolean {
  if (one.attempt && other.attempt && one.attempt.process === other.attempt.process) {
    return one.attempt.number < other.attempt.number;
  }
  return one.askedAt < other.askedAt;
}

/** What is asked of a connection of this node. */
interface Replaceable {
  readonly device: ConnectedDevice;
  readonly askedAt: number;
  readonly hasSpoken: boolean;
  end(cause: 'replaced', reason?: string): void;
}

/** Decides between the connections of one device id, and finds out where two machines use it. */
export class Duplicates {
  private readonly flapping = new Flapping();
  private readonly clones = new Clones();

  constructor(
    private readonly options: Pick<ResolvedOptions, 'duplicates' | 'clones'>,
    /** The connections of this node. */
    private readonly connections: { of(deviceId: string): readonly Replaceable[] },
    private readonly report: (error: SocketError) => void,
  ) {}

  /** Of two concurrent upgrades the newer one wins, in whatever order they are decided. */
  isOutdated(deviceId: string, arrival: Arrival): boolean {
    if (this.options.duplicates !== 'newest') return false;
    return this.connections
      .of(deviceId)
      .some(({ askedAt, device: { attempt } }) => isOlder(arrival, { askedAt, attempt }));
  }

  /** With `clones: 'refuse'`, whether two machines are known to use the device id: only one of them is let in. */
  refusesClonesOf(deviceId: string): boolean {
    const { clones, duplicates } = this.options;
    return clones === 'refuse' && duplicates === 'newest' && this.clones.isSuspected(deviceId);
  }

  /** With `clones: 'refuse'`, the machine that is connected to this node keeps the device id that two of them use. */
  isRefused(deviceId: string, attempt: Attempt | undefined): boolean {
    if (!this.refusesClonesOf(deviceId)) return false;
    const isClone = this.connections
      .of(deviceId)
      .some(({ device }) => isOtherProcess(device.attempt, attempt));
    if (isClone) this.clones.onRefused(deviceId);
    return isClone;
  }

  /** As {@link isRefused}, and reported: another machine has connected to another node. */
  refuse(deviceId: string, { attempt, remoteAddress }: NewerConnection): boolean {
    const isClone = this.isRefused(deviceId, attempt);
    if (isClone) this.report(refusalOf(deviceId, remoteAddress));
    return isClone;
  }

  /** Closes the connections of this node: the device has connected again, here. */
  replaceBy({ id, attempt }: ConnectedDevice): void {
    if (this.options.duplicates !== 'newest') return;
    const older = [...this.connections.of(id)];
    for (const connection of older) this.replace(connection, attempt);
    if (older.length > 0 && this.flapping.notice(id)) {
      this.report({
        deviceId: id,
        type: 'flapping',
        info: 'replaced five times within a minute: do two machines use this device id?',
      });
    }
  }

  /**
   * Closes the connections of this node, since one of another node stays.
   * @returns what that node has to know in order to recognise two machines.
   */
  replaceByOther(deviceId: string, newer: NewerConnection): CloneTrace | undefined {
    if (newer.refusesClones) this.clones.onRefused(deviceId);
    let isNoted = false;
    for (const connection of [...this.connections.of(deviceId)])
      if (this.replace(connection, newer.attempt)) isNoted = true;
    return isNoted && !newer.refusesClones ? this.clones.traceOf(deviceId) : undefined;
  }

  /** The node that a connection of this one has replaced tells what it knows. */
  onTrace(deviceId: string, trace: CloneTrace): void {
    this.clones.adopt(deviceId, trace);
  }

  /** Closes a replaced connection; returns whether another machine may have replaced it. */
  private replace(connection: Replaceable, newer: Attempt | undefined): boolean {
    const { device, hasSpoken } = connection;
    const isOther = isOtherProcess(device.attempt, newer);
    if (isOther && hasSpoken) this.checkForClones(device);
    const isClone = isOther && this.clones.isSuspected(device.id);
    connection.end('replaced', isClone ? CLONE_REASON : undefined);
    return isOther && hasSpoken;
  }

  private checkForClones({ id, remoteAddress, attempt }: ConnectedDevice): void {
    const otherAddress = attempt && this.clones.onReplaced(id, attempt, remoteAddress);
    if (otherAddress === undefined) return;
    this.report({
      deviceId: id,
      type: 'clone_suspected',
      info: `two machines use this device id, at ${remoteAddress} and ${otherAddress}: give each an id and a login of its own`,
    });
  }
}

/** What is reported when a machine is refused, because another one uses its device id. */
export function refusalOf(deviceId: string, remoteAddress: string): SocketError {
  const info = `refused at ${remoteAddress}: another machine with this device id is connected`;
  return { deviceId, type: 'clone_suspected', info };
}

/** Whether both attempts are named, and were made by two processes. */
export function isOtherProcess(one: Attempt | undefined, other: Attempt | undefined): boolean {
  return one !== undefined && other !== undefined && one.process !== other.process;
}

/** Detects a device id whose connections replace each other repeatedly. */
export class Flapping {
  private windowEnds = 0;
  private readonly replaced = new Map<string, number>();

  /**
   * Notes that a connection of the device was replaced; true, once a minute, when that makes the fifth time within it.
   * @param now by a monotonic clock.
   */
  notice(deviceId: string, now = performance.now()): boolean {
    if (now >= this.windowEnds) {
      this.windowEnds = now + FLAPPING_WINDOW_MS;
      this.replaced.clear();
    }
    const times = (this.replaced.get(deviceId) ?? 0) + 1;
    this.replaced.set(deviceId, times);
    return times === FLAPPING_REPLACEMENTS;
  }
}
