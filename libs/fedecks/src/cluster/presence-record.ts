import { type ConnectedDevice, type NewerConnection, type PresenceEntry } from '../server/index.js';
import { decodeAttempt, encodeAttempt } from '../wire/internal.js';
import { type Rank } from './rank.js';

/** What is kept of a device: its id is in the key, its endpoint in the bucket's. */
export interface PresenceRecord {
  readonly state: 'online' | 'offline';
  readonly node: string;
  /** When it connected, by the wall clock of its node: to be shown, and nothing else. */
  readonly since: number;
  /** The `time` of the connection's {@link Rank}. Versions that wrote none are ranked before all others. */
  readonly rank?: number;
  readonly remoteAddress: string;
  /** As in its header, where the device has named it (PROTOCOL.md §1.7). Older versions wrote none. */
  readonly attempt?: string;
  /** Two machines use the device id, and this node rejects the other one. */
  readonly refusesClones?: true;
  readonly claims?: ConnectedDevice['claims'];
  readonly at: number;
  readonly cause?: PresenceEntry['cause'];
  /** An unchanged entry, rewritten to renew its time to live. */
  readonly renewed?: true;
}

export function isPresenceRecord(value: unknown): value is PresenceRecord {
  const { state, node, since, rank, remoteAddress, attempt, claims, at, cause } = (value ?? {}) as Record<
    string,
    unknown
  >;
  return (
    (state === 'online' || state === 'offline') &&
    typeof node === 'string' &&
    typeof remoteAddress === 'string' &&
    Number.isSafeInteger(since) &&
    Number.isSafeInteger(at) &&
    (rank === undefined || (Number.isSafeInteger(rank) && (rank as number) >= 0)) &&
    (attempt === undefined || typeof attempt === 'string') &&
    (claims === undefined || (typeof claims === 'object' && claims !== null)) &&
    (cause === undefined || typeof cause === 'string')
  );
}

/** How and when a device left. */
export interface Gone {
  readonly cause: NonNullable<PresenceEntry['cause']>;
  readonly at: number;
}

export function recordOf(
  device: ConnectedDevice,
  { node, time }: Rank,
  gone?: Gone,
  refusesClones = false,
): PresenceRecord {
  const { since, remoteAddress, attempt, claims } = device;
  return {
    state: gone ? 'offline' : 'online',
    node,
    since,
    rank: time,
    remoteAddress,
    ...(attempt && { attempt: encodeAttempt(attempt) }),
    ...(refusesClones && { refusesClones }),
    ...(claims && { claims }),
    ...(gone ?? { at: since }),
  };
}

/** The rank of the connection that a record is of. */
export function rankOf({ node, rank = 0 }: PresenceRecord): Rank {
  return { node, time: rank };
}

/** The parts of a record that matter to another connection of the device. */
export function connectionOf({ attempt, remoteAddress, refusesClones }: PresenceRecord): NewerConnection {
  return { attempt: decodeAttempt(attempt), remoteAddress, refusesClones };
}

/** The record as applications see it. A device whose node is lost is offline, whatever is still written. */
export function entryOf(
  id: string,
  endpoint: string,
  { state, node, since, remoteAddress, attempt, claims, at, cause }: PresenceRecord,
  nodeLives: boolean,
): PresenceEntry {
  const lost = state === 'online' && !nodeLives;
  return {
    id,
    endpoint,
    node,
    since,
    remoteAddress,
    claims,
    attempt: decodeAttempt(attempt),
    at,
    state: lost ? 'offline' : state,
    cause: lost ? 'node_lost' : cause,
  };
}
