import { Injectable, ServiceUnavailableException } from '@nestjs/common';
import { type Observable, Subject } from 'rxjs';
import { type Actor } from './actor.js';

/** How long, in milliseconds, another node may still accept what was revoked here. */
const TTL_MS = 5_000;
const MAX_ACTORS = 10_000;
/** Queries at once, so that strangers with made-up keys cannot fill the memory while the database is slow. */
const MAX_LOOKUPS = 100;

/** An actor, as the database knows it. */
export interface FoundActor {
  readonly actor: Actor;
  /** When the key or session ends; null: never. */
  readonly expiresAt: Date | null;
}

interface Known {
  readonly actor: Actor;
  readonly until: number;
}

/**
 * Remembers for 5 s who presents a key or a session, so that a request rarely costs a query. Requests that present the same
 * one at the same time share a query. Unknown keys are not remembered.
 */
@Injectable()
export class ActorCache {
  private known = new Map<string, Known>();
  private lookups = new Map<string, Promise<Actor | undefined>>();
  private running = 0;
  private readonly cleared = new Subject<void>();

  /** Emits when a key, a session or a role has changed on this node. */
  get cleared$(): Observable<void> {
    return this.cleared.asObservable();
  }

  /**
   * The actor of a token.
   * @param hash of the token.
   * @param lookUp asks the database.
   * @param now monotonic time in ms.
   * @throws {ServiceUnavailableException} (rejects) when 100 lookups are running, and what `lookUp` throws.
   */
  async find(
    hash: Buffer,
    lookUp: () => Promise<FoundActor | undefined>,
    now = performance.now(),
  ): Promise<Actor | undefined> {
    const id = hash.toString('base64');
    const { known, lookups } = this;
    const entry = known.get(id);
    if (entry && now < entry.until) return entry.actor;
    known.delete(id);
    const running = lookups.get(id);
    if (running) return running;
    if (this.running >= MAX_LOOKUPS) throw new ServiceUnavailableException('Too busy: try again later.');
    this.running++;
    // Into the maps of now: those of a lookup that began before a change are not used any more.
    const lookup = lookUp()
      .then((found) => {
        if (found) remember(known, id, found, now);
        return found?.actor;
      })
      .finally(() => {
        this.running--;
        lookups.delete(id);
      });
    lookups.set(id, lookup);
    return lookup;
  }

  /** Forgets everybody: a key, a session or a role has changed. */
  clear(): void {
    this.known = new Map();
    this.lookups = new Map();
    this.cleared.next();
  }
}

function remember(
  known: Map<string, Known>,
  id: string,
  { actor, expiresAt }: FoundActor,
  now: number,
): void {
  const left = expiresAt === null ? TTL_MS : expiresAt.getTime() - Date.now();
  if (left <= 0) return;
  const [oldest] = known.keys();
  if (known.size >= MAX_ACTORS && oldest !== undefined) known.delete(oldest);
  known.set(id, { actor, until: now + Math.min(TTL_MS, left) });
}
