import { type Attempt, CLONE_REASON } from '../wire/internal.js';
import { Clones, type CloneTrace, type NewerConnection } from './clones.js';
import { type ConnectedDevice, type SocketError } from './device.js';
import { type ResolvedOptions } from './fedecks-options.js';

const FLAPPING_WINDOW_MS = 60_000;
const FLAPPING_REPLACEMENTS = 5;

/** When an upgrade was requested, and its attempt if the device named it. */
export interface Arrival {
  /** By a monotonic clock, in ms. */
  readonly askedAt: number;
  readonly attempt: Attempt | undefined;
}

/**
 * Whether one upgrade is older than another of the same device. Neither the order in which the network delivers them, nor
 * the order in which the authenticator answers, makes an old attempt the newer one.
 */
export function isOlder(one: Arrival, other: Arrival): boolean {
  if (one.attempt && other.attempt && one.attempt.process === other.attempt.process) {
    return one.attempt.number < other.attempt.number;
  }
  return one.askedAt < other.askedAt;
}

/** What {@link Duplicates} needs of a connection. */
interface Replaceable {
  readonly device: ConnectedDevice;
  readonly askedAt: number;
  readonly hasSpoken: boolean;
  end(cause: 'replaced', reason?: string): void;
}

/** Decides which connection of a device id stays, and detects two machines that use one id. */
export class Duplicates {
  private readonly flapping = new Flapping();
  private readonly clones = new Clones();

  constructor(
    private readonly options: Pick<ResolvedOptions, 'duplicates' | 'clones'>,
    /** The connections of this node. */
    private readonly connections: { of(deviceId: string): readonly Replaceable[] },
    private readonly report: (error: SocketError) => void,
  ) {}

  /** Of two concurrent upgrades the newer one wins, in whatever order they complete. */
  isOutdated(deviceId: string, arrival: Arrival): boolean {
    if (this.options.duplicates !== 'newest') return false;
    return this.connections
      .of(deviceId)
      .some(({ askedAt, device: { attempt } }) => isOlder(arrival, { askedAt, attempt }));
  }

  /** With `clones: 'refuse'`, whether two machines use the device id, so that only one may connect. */
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

  /** As {@link isRefused}, for a machine that has connected to another node. Reports the rejection. */
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
    if (older.length > 0 && this.flapping.onReplaced(id)) {
      this.report({
        deviceId: id,
        type: 'flapping',
        info: 'replaced five times within a minute: check whether two machines use this device id',
      });
    }
  }

  /**
   * Closes the connections of this node, because one of another node stays.
   * @returns what that node needs to detect two machines.
   */
  replaceByOther(deviceId: string, newer: NewerConnection): CloneTrace | undefined {
    if (newer.refusesClones) this.clones.onRefused(deviceId);
    let isNoted = false;
    for (const connection of [...this.connections.of(deviceId)])
      if (this.replace(connection, newer.attempt)) isNoted = true;
    return isNoted && !newer.refusesClones ? this.clones.traceOf(deviceId) : undefined;
  }

  /** Takes over what the node of a replaced connection knows. */
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
      info: `two machines use this device id, at ${remoteAddress} and ${otherAddress}: give each machine its own id and login`,
    });
  }
}

/** The report of a machine that was rejected because another one uses its device id. */
export function refusalOf(deviceId: string, remoteAddress: string): SocketError {
  const info = `rejected ${remoteAddress}: another machine with this device id is connected`;
  return { deviceId, type: 'clone_suspected', info };
}

/** Whether both attempts are named, and come from two processes. */
export function isOtherProcess(one: Attempt | undefined, other: Attempt | undefined): boolean {
  return one !== undefined && other !== undefined && one.process !== other.process;
}

/** Detects a device id whose connections replace each other repeatedly. */
export class Flapping {
  private windowEnds = 0;
  private readonly replaced = new Map<string, number>();

  /**
   * Counts a replaced connection of the device. Returns true at the fifth within a minute, once.
   * @param now by a monotonic clock.
   */
  onReplaced(deviceId: string, now = performance.now()): boolean {
    if (now >= this.windowEnds) {
      this.windowEnds = now + FLAPPING_WINDOW_MS;
      this.replaced.clear();
    }
    const times = (this.replaced.get(deviceId) ?? 0) + 1;
    this.replaced.set(deviceId, times);
    return times === FLAPPING_REPLACEMENTS;
  }
}
