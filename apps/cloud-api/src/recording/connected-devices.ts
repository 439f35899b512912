import { type ConnectedDevice } from '@fedecks/nest';
import { type DeviceRow } from './recorded-rows.js';
import { storedText } from './stored-text.js';

/** How often, in milliseconds, it is written that a device that stays connected was seen. */
const SEEN_EVERY_MS = 10_000;

interface Entry {
  /** All its connections. */
  readonly open: Set<ConnectedDevice>;
  newest: ConnectedDevice;
  /** Since when it has been online. */
  readonly since: Date;
  seenAt: Date;
  /** Monotonic, in ms. */
  writtenAt: number;
}

/**
 * The devices that are connected to this node, by their ids in the database, and what is written of them. Ids that differ
 * only by characters that Postgres refuses are one there.
 */
export class ConnectedDevices {
  private readonly entries = new Map<string, Entry>();
  /** The device whose last connection was replaced just now, and since when it has been online. */
  private replaced: { readonly id: string; readonly since: Date } | undefined;

  /** All of them. */
  get ids(): string[] {
    return [...this.entries.keys()];
  }

  /** A connection has begun. */
  add(device: ConnectedDevice): void {
    const id = storedText(device.id);
    const entry = this.entries.get(id);
    if (entry) {
      entry.open.add(device);
      entry.newest = device;
      return;
    }
    const cameAt = new Date(device.since);
    const since = this.replaced?.id === id ? this.replaced.since : cameAt;
    this.replaced = undefined;
    const open = new Set([device]);
    this.entries.set(id, { open, newest: device, since, seenAt: cameAt, writtenAt: -Infinity });
  }

  /**
   * A connection has ended. The row of the device, which stays online while it has another connection. Undefined where a
   * newer connection has replaced the last one: whichever node has that writes the row.
   */
  remove(device: ConnectedDevice, cause: string, now: Date): DeviceRow | undefined {
    const id = storedText(device.id);
    const entry = this.entries.get(id);
    entry?.open.delete(device);
    const [other] = [...(entry?.open ?? [])].slice(-1);
    if (entry && other) {
      if (entry.newest === device) entry.newest = other;
      return rowOf(entry);
    }
    this.entries.delete(id);
    const since = entry?.since ?? new Date(device.since);
    this.replaced = cause === 'replaced' ? { id, since } : undefined;
    if (cause === 'replaced') return undefined;
    const row = rowOf(entry ?? { newest: device, since, seenAt: since, writtenAt: 0 });
    return { ...row, isOnline: false, since: now, cause };
  }

  /** A device has sent something. Its row, if that is to be written already. */
  see(id: string, now: Date): DeviceRow | undefined {
    const entry = this.entries.get(id);
    if (!entry) return undefined;
    entry.seenAt = now;
    return performance.now() - entry.writtenAt < SEEN_EVERY_MS ? undefined : rowOf(entry);
  }

  /** The row of a device; undefined if it is not connected. */
  row(id: string): DeviceRow | undefined {
    const entry = this.entries.get(id);
    return entry && rowOf(entry);
  }

  /** Whether a device is connected, with a connection that began then if that is given. */
  has(id: string, cameAt?: Date): boolean {
    const open = this.entries.get(id)?.open;
    if (!open) return false;
    return cameAt === undefined || [...open].some(({ since }) => since === cameAt.getTime());
  }

  /** The connections of a device, the newest last. */
  connectionsOf(id: string): readonly ConnectedDevice[] {
    return [...(this.entries.get(id)?.open ?? [])];
  }
}

function rowOf(entry: Omit<Entry, 'open'>): DeviceRow {
  entry.writtenAt = performance.now();
  const { newest, since, seenAt } = entry;
  return {
    id: storedText(newest.id),
    firstSeenAt: since,
    lastSeenAt: seenAt,
    isOnline: true,
    since,
    cameAt: new Date(newest.since),
    cause: null,
    address: storedText(newest.remoteAddress),
    agentVersion: null,
    hello: null,
  };
}
