import { type ConnectedDevice, type PresenceEntry } from '../server/index.js';
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
  readonly claims?: ConnectedDevice['claims'];
  readonly at: number;
  readonly cause?: PresenceEntry['cause'];
  /** It says what it said before, and is written again so that the store goes on keeping it. */
  readonly renewed?: true;
}

export function isPresenceRecord(value: unknown): value is PresenceRecord {
  const { state, node, since, rank, remoteAddress, claims, at, cause } = (value ?? {}) as Record<
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
    (claims === undefined || (typeof claims === 'object' && claims !== null)) &&
    (cause === undefined || typeof cause === 'string')
  );
}

/** How and when a device left. */
export interface Gone {
  readonly cause: NonNullable<PresenceEntry['cause']>;
  readonly at: number;
}

export function recordOf(device: ConnectedDevice, { node, time }: Rank, gone?: Gone): PresenceRecord {
  const { since, remoteAddress, claims } = device;
  return {
    state: gone ? 'offline' : 'online',
    node,
    since,
    rank: time,
    remoteAddress,
    ...(claims && { claims }),
    ...(gone ?? { at: since }),
  };
}

/** The rank of the connection that a record is of. */
export function rankOf({ node, rank = 0 }: PresenceRecord): Rank {
  return { node, time: rank };
}

/** The record as applications see it. A device whose node is lost is offline, whatever is still written. */
export function entryOf(
  id: string,
  endpoint: string,
  { state, node, since, remoteAddress, claims, at, cause }: PresenceRecord,
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
    at,
    state: lost ? 'offline' : state,
    cause: lost ? 'node_lost' : cause,
  };
}
