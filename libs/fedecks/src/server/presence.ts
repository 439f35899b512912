import { type Observable } from 'rxjs';
import { type ConnectedDevice, type DisconnectCause } from './device.js';

/** The presence of a device that is or was connected to any node. */
export interface PresenceEntry extends ConnectedDevice {
  /** Whether any node holds a connection of it. */
  readonly state: 'online' | 'offline';
  /** The node that holds it, or held it last. A node gets a new name at each start. */
  readonly node: string;
  /** When this state began, in milliseconds since 1970; for an offline device, when it was last seen. */
  readonly at: number;
  /** Why it is offline: what ended its connection, or `node_lost` if its node stopped without reporting it. */
  readonly cause: DisconnectCause['type'] | 'node_lost' | undefined;
}

/** One page of entries, and the cursor of the next. */
export interface PresencePage {
  /** In no particular order. */
  readonly entries: readonly PresenceEntry[];
  /** The cursor of the next page; undefined on the last. */
  readonly cursor?: string | undefined;
}

/** Selects a page of entries. */
export interface PresenceQuery {
  /** The `cursor` of the previous page. */
  readonly cursor?: string | undefined;
  /** The maximum entries of a page, from 1 to 1,000. @default 100 */
  readonly limit?: number;
  /** The `path` of one endpoint. @default all of them, one after another */
  readonly endpoint?: string;
}

/** The presence of the devices of one endpoint. */
export interface PresenceSource {
  /** @throws {BackplaneError} */
  presenceOf(deviceId: string): Promise<PresenceEntry | undefined>;
  /** @throws {BackplaneError} */
  presenceList(after: string | undefined, limit: number): Promise<PresencePage>;
  /** Active only while there is a subscription. */
  readonly presenceChanges$: Observable<PresenceEntry>;
}

interface PresenceEndpoint {
  readonly options: { readonly path: string };
  readonly backplane: PresenceSource;
}

const MAX_LIMIT = 1_000;

/** Which devices are connected to any node, and which were. */
export class Presence {
  /**
   * Every changed entry, from all nodes. Costs nothing without a subscription. Observers may throw, as with `messages$`.
   */
  readonly changes$: Observable<PresenceEntry>;

  /**
   * @internal
   * @param endpoints the endpoints of that path, or all.
   */
  constructor(
    private readonly endpoints: (endpoint?: string) => readonly PresenceEndpoint[],
    changes$: Observable<PresenceEntry>,
  ) {
    this.changes$ = changes$;
  }

  /**
   * The presence of a device: its connection, or how its last one ended. Undefined if it never connected, or left before
   * the retention.
   * @param endpoint the `path` of one endpoint. Default: the first with the device online, otherwise the first that knows it.
   * @throws {BackplaneError} when the other nodes are unreachable.
   */
  async get(deviceId: string, endpoint?: string): Promise<PresenceEntry | undefined> {
    const found = await Promise.all(
      this.endpoints(endpoint).map(({ backplane }) => backplane.presenceOf(deviceId)),
    );
    const known = found.filter((entry) => entry !== undefined);
    return known.find(({ state }) => state === 'online') ?? known[0];
  }

  /**
   * All known devices, in pages, including offline ones. A device whose entry changes or is renewed while you read the
   * pages may appear twice. Every other device appears exactly once.
   * @throws {BackplaneError} when the other nodes are unreachable.
   * @throws {RangeError} for a limit out of range, or an invalid cursor.
   */
  async list({ cursor, limit = 100, endpoint }: PresenceQuery = {}): Promise<PresencePage> {
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
      throw new RangeError(`'limit' must be a whole number from 1 to ${MAX_LIMIT}.`);
    }
    const endpoints = this.endpoints(endpoint);
    const [path = endpoints[0]?.options.path, inner] = cursor === undefined ? [] : decodeCursor(cursor);
    const index = endpoints.findIndex(({ options }) => options.path === path);
    const current = endpoints[index];
    if (!current) throw new RangeError("'cursor' must be a cursor that presence.list() returned.");
    const page = await current.backplane.presenceList(inner, limit);
    const next = endpoints[index + 1];
    if (page.cursor !== undefined)
      return { entries: page.entries, cursor: encodeCursor(current.options.path, page.cursor) };
    return { entries: page.entries, ...(next && { cursor: encodeCursor(next.options.path) }) };
  }
}

function encodeCursor(...parts: string[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

function decodeCursor(cursor: string): string[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (Array.isArray(parts) && parts.every((part) => typeof part === 'string')) return parts;
  } catch {
    // The caller reports an invalid cursor.
  }
  return [''];
}
