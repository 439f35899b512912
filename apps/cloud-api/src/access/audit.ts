import { Injectable, Logger } from '@nestjs/common';
import { sql } from 'kysely';
import { Database } from '../database/database.js';
import { inTime } from '../database/in-time.js';
import { type Actor } from './actor.js';
import { AuditLimits } from './audit-limits.js';

/** How long, in milliseconds, an answer waits for its entry. */
const MAX_WAIT_MS = 2_000;

/** What somebody did. */
export interface AuditEntry {
  readonly actor: Actor | undefined;
  readonly address: string;
  /** As `device.block`. */
  readonly action: string;
  readonly target: string | undefined;
  readonly details: object | undefined;
  /** The HTTP status of the answer. */
  readonly status: number;
}

/** One of many to which the same was done. */
export interface AuditTarget {
  readonly target: string;
  readonly status: number;
}

/** An entry that was kept. */
export interface KeptAuditEntry {
  /** Rises with time. */
  readonly id: number;
  readonly at: Date;
  /** The name of an operator or an API key, `API_KEY` for that of the environment, or `nobody`. */
  readonly actor: string;
  readonly actorKind: string;
  readonly address: string;
  readonly action: string;
  readonly target: string | null;
  readonly details: object | null;
  readonly status: number;
}

/** Which entries to list. */
export interface AuditFilter {
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  readonly target?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  /** Only entries with a lower id. */
  readonly before?: number | undefined;
}

/**
 * Who did what, in the database. What cannot be kept within 2 s, because the database is away, is logged instead: it was done.
 */
@Injectable()
export class Audit {
  private readonly logger = new Logger('Audit');

  constructor(
    private readonly database: Database,
    private readonly limits: AuditLimits,
  ) {}

  /** Never rejects. */
  async record(entry: AuditEntry): Promise<void> {
    const { actor, address, action, target, details, status } = entry;
    const insert = this.database.insertInto('audit').values({
      actor: actor?.name ?? 'nobody',
      actor_kind: actor?.kind ?? 'none',
      address,
      action,
      target: target ?? null,
      details: details === undefined ? null : JSON.stringify(details),
      status,
    });
    const to = target === undefined ? '' : ` to ${JSON.stringify(target)}`;
    await this.keep(insert.execute(), entry, `${to} with status ${status}`);
  }

  /** An entry for each of them, in one statement. Never rejects. */
  async recordEach(
    entry: Omit<AuditEntry, 'target' | 'status'>,
    targets: readonly AuditTarget[],
  ): Promise<void> {
    if (targets.length === 0) return;
    const { actor, address, action, details } = entry;
    const ids = targets.map(({ target }) => target);
    const statuses = targets.map(({ status }) => status);
    const insert = sql`
      INSERT INTO audit (actor, actor_kind, address, action, details, target, status)
      SELECT ${actor?.name ?? 'nobody'}::text, ${actor?.kind ?? 'none'}::text, ${address}::text, ${action}::text,
        ${details === undefined ? null : JSON.stringify(details)}::jsonb, target, status
      FROM unnest(${ids}::text[], ${statuses}::integer[]) AS each (target, status)`;
    await this.keep(insert.execute(this.database), entry, ` to ${targets.length} devices`);
  }

  /** Up to `limit` entries, the newest first. */
  async list(limit: number, filter: AuditFilter): Promise<KeptAuditEntry[]> {
    const { actor, action, target, since, until, before } = filter;
    let query = this.database.selectFrom('audit').selectAll();
    if (actor !== undefined) query = query.where('actor', '=', actor);
    if (action !== undefined) query = query.where('action', '=', action);
    if (target !== undefined) query = query.where('target', '=', target);
    if (since !== undefined) query = query.where('at', '>=', since);
    if (until !== undefined) query = query.where('at', '<', until);
    if (before !== undefined) query = query.where('id', '<', before);
    const rows = await query.orderBy('id', 'desc').limit(limit).execute();
    return rows.map(({ actor_kind: actorKind, ...row }) => ({ ...row, actorKind }));
  }

  /** @param rest of the line of the log. */
  private async keep(
    work: Promise<unknown>,
    { actor, address, action }: Pick<AuditEntry, 'actor' | 'address' | 'action'>,
    rest: string,
  ): Promise<void> {
    try {
      await inTime(work, MAX_WAIT_MS, () => new Error('the database does not answer'));
    } catch (error) {
      if (!this.limits.failures.admit('')) return;
      const reason = error instanceof Error ? error.message : 'unknown error';
      this.logger.error(
        `Not kept in the audit: ${actor?.name ?? 'nobody'} at ${address} did ${action}${rest}: ${reason}`,
      );
    }
  }
}
