import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { type Fedecks } from '@fedecks/nest';
import { sql } from 'kysely';
import { type Database } from '../database/database.js';
import { type DatabaseLink } from '../database/database-link.js';
import { closeConnectionsOfDeadNodes, endDevicesOfDeadNodes } from './dead-nodes.js';

export interface NodeTimes {
  /** How often, in milliseconds, it is written that this node lives. */
  readonly everyMs: number;
  /** A node that is not seen for so many milliseconds is dead. */
  readonly deadAfterMs: number;
}

const TIMES: NodeTimes = { everyMs: 10_000, deadAfterMs: 60_000 };

/**
 * This process among those that serve the fleet. It writes that it lives, and ends what dead ones have left open: their
 * devices are offline since they were seen last, by the cause `node_lost`, unless they are online elsewhere.
 */
export class Node implements OnApplicationBootstrap, OnApplicationShutdown {
  /** A UUID: a new one at each start. */
  readonly id = randomUUID();
  private readonly logger = new Logger('Node');
  private timer: NodeJS.Timeout | undefined;
  private beating: Promise<void> | undefined;
  /** Since when the database has known without a gap that this node lives; monotonic. */
  private steadySince: number | undefined;

  /** @param isAlone whether no other node can have the database: all others are dead then. */
  constructor(
    private readonly database: Database,
    private readonly link: Pick<DatabaseLink, 'isReady'>,
    private readonly fedecks: Pick<Fedecks, 'health'>,
    private readonly isAlone: boolean,
    private readonly times: NodeTimes = TIMES,
  ) {}

  onApplicationBootstrap(): void {
    this.beat();
    this.timer = setInterval(() => this.beat(), this.times.everyMs).unref();
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.beating;
  }

  private beat(): void {
    this.beating ??= this.live().finally(() => (this.beating = undefined));
  }

  private async live(): Promise<void> {
    if (!this.link.isReady) return;
    try {
      const isUp = this.fedecks.health().status === 'up';
      await sql`
        INSERT INTO nodes (id, host, backplane_up) VALUES (${this.id}, ${hostname()}, ${isUp})
        ON CONFLICT (id) DO UPDATE SET seen_at = now(), backplane_up = ${isUp}`.execute(this.database);
      const now = performance.now();
      this.steadySince ??= now;
      // After an outage of the database nobody has been seen: the others need time to be.
      if (this.isAlone || now - this.steadySince >= this.times.deadAfterMs) await this.buryOthers();
    } catch (error) {
      this.steadySince = undefined;
      this.logger.debug(
        `It is not written that this node lives: ${error instanceof Error ? error.message : 'unknown error'}`,
      );
    }
  }

  private async buryOthers(): Promise<void> {
    const deadAfterMs = this.isAlone ? 0 : this.times.deadAfterMs;
    const connections = await closeConnectionsOfDeadNodes(this.database, this.id, deadAfterMs);
    const devices = await endDevicesOfDeadNodes(this.database, this.id, deadAfterMs);
    if (connections + devices > 0)
      this.logger.warn(`Nodes have died: ${connections} connections ended, ${devices} devices are offline`);
  }
}
