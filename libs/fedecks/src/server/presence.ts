import { type Observable } from 'rxjs';
import { type ConnectedDevice, type DisconnectCause } from './device.js';

/** What is known of a device that is connected somewhere, or was. */
export interface PresenceEntry extends ConnectedDevice {
  /** Whether it is connected to any node. */
  readonly state: 'online' | 'offline';
  /** The node that holds it, or held it last. Nodes name themselves anew at each start. */
  readonly node: string;
  /** When that was noted, in milliseconds since 1970: of a device that left, when it was last seen. */
  readonly at: number;
  /** Why it left: what ended its connection, or `node_lost` where its node ended without a word. */
  readonly cause: DisconnectCause['type'] | 'node_lost' | undefined;
}

/** A part of all that is known, and where to go on. */
export interface PresencePage {
  /** In no particular order. */
  readonly entries: readonly PresenceEntry[];
  /** Where the next page begins; undefined on the last. */
  readonly cursor?: string | undefined;
}

/** Which part of all that is known is asked for. */
export interface PresenceQuery {
  /** As the page before gave it. */
  readonly cursor?: string | undefined;
  /** The most entries of a page, from 1 to 1,000. @default 100 */
  readonly limit?: number;
  /** The `path` of one endpoint. @default all of them, one after another */
  readonly endpoint?: string;
}

/** Where the presence of the devices of one endpoint is known. */
export interface PresenceSource {
  /** @throws {BackplaneError} */
  presenceOf(deviceId: string): Promise<PresenceEntry | undefined>;
  /** @throws {BackplaneError} */
  presenceList(after: string | undefined, limit: number): Promise<PresencePage>;
  /** Runs only while somebody subscribes. */
  readonly presenceChanges$: Observable<PresenceEntry>;
}

interface Place {
  readonly options: { readonly path: string };
  readonly backplane: PresenceSource;
}

const MAX_LIMIT = 1_000;

/** Who is connected, to whichever node, and who was. */
export class Presence {
  /**
   * Every entry as it changes, on whichever node. Costs nothing while nobody subscribes. Observers may fail, as with
   * `messages$`.
   */
  readonly changes$: Observable<PresenceEntry>;

  /**
   * @internal
   * @param places the endpoints of that path, or all.
   */
  constructor(
    private readonly places: (endpoint?: string) => readonly Place[],
    changes$: Observable<PresenceEntry>,
  ) {
    this.changes$ = changes$;
  }

  /**
   * What is known of a device: its connection, or how its last one ended. Undefined if it never connected, or left
   * longer ago than is kept.
   * @param endpoint the `path` of one endpoint; by default the first that has the device online, or else knows it.
   * @throws {BackplaneError} when the other nodes cannot be asked.
   */
  async get(deviceId: string, endpoint?: string): Promise<PresenceEntry | undefined> {
    const found = await Promise.all(
      this.places(endpoint).map(({ backplane }) => backplane.presenceOf(deviceId)),
    );
    const known = found.filter((entry) => entry !== undefined);
    return known.find(({ state }) => state === 'online') ?? known[0];
  }

  /**
   * All known devices, in pages, including those that left. A device that connects or disconnects while the pages are
   * read may be on two of them, and so may one whose entry is just then renewed; any other is on exactly one.
   * @throws {BackplaneError} when the other nodes cannot be asked.
   * @throws {RangeError} for a limit out of range, and a cursor that is none.
   */
  async list({ cursor, limit = 100, endpoint }: PresenceQuery = {}): Promise<PresencePage> {
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
      throw new RangeError(`'limit' must be a whole number from 1 to ${MAX_LIMIT}.`);
    }
    const places = this.places(endpoint);
    const [path = places[0]?.options.path, inner] = cursor === undefined ? [] : parsed(cursor);
    const index = places.findIndex(({ options }) => options.path === path);
    const place = places[index];
    if (!place) throw new RangeError("'cursor' must be one that presence.list() gave.");
    const page = await place.backplane.presenceList(inner, limit);
    const next = places[index + 1];
    if (page.cursor !== undefined)
      return { entries: page.entries, cursor: written(place.options.path, page.cursor) };
    return { entries: page.entries, ...(next && { cursor: written(next.options.path) }) };
  }
}

function written(...parts: string[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

function parsed(cursor: string): string[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (Array.isArray(parts) && parts.every((part) => typeof part === 'string')) return parts;
  } catch {
    // Said below.
  }
  return [''];
}
