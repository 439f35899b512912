import { Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { type Subscription } from 'rxjs';
import { type Database } from '../database/database.js';
import { type BatchWriter } from './batch-writer.js';
import { type Recorder } from './recorder.js';

const EVERY_MS = 60_000;
/** How many devices one query is about. */
const STEP = 500;
/** The cause of an end that was dropped. */
const UNKNOWN = 'unknown';

/**
 * Compares what the database says of the devices of this node with what is connected, once a minute and when the database
 * is back: rows that were dropped would leave it wrong for ever.
 */
export class Reconciler implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('Reconciler');
  private timer: NodeJS.Timeout | undefined;
  private subscription: Subscription | undefined;
  private running: Promise<void> | undefined;
  private hasEnded = false;
  constructor(
    private readonly database: Database,
    private readonly nodeId: string,
    private readonly recorder: Recorder,
    private readonly writer: BatchWriter,
  ) {}

  onApplicationBootstrap(): void {
    this.subscription = this.writer.recovered$.subscribe(() => void this.run());
    this.timer = setInterval(() => void this.run(), EVERY_MS).unref();
  }

  async onApplicationShutdown(): Promise<void> {
    this.hasEnded = true;
    clearInterval(this.timer);
    this.subscription?.unsubscribe();
    await this.running;
  }

  /** Never rejects. */
  run(): Promise<void> {
    return (this.running ??= this.reconcile()
      .catch((error: unknown) => {
        this.logger.debug(`Not reconciled: ${error instanceof Error ? error.message : 'unknown error'}`);
      })
      .finally(() => (this.running = undefined)));
  }

  private async reconcile(): Promise<void> {
    const { ids } = this.recorder.connected;
    for (let from = 0; from < ids.length && !this.hasEnded; from += STEP)
      await this.addMissing(ids.slice(from, from + STEP));
    await this.inPages((after?: string) => this.endDevices(after));
    await this.inPages((after?: number) => this.endConnections(after));
  }

  /** @param step takes the page after an id, and gives its last one; undefined where there is none. */
  private async inPages<Id>(step: (after: Id | undefined) => Promise<Id | undefined>): Promise<void> {
    let last: Id | undefined;
    do last = await step(last);
    while (last !== undefined && !this.hasEnded);
  }

  /** Those that are connected, and not online at this node in the database. */
  private async addMissing(ids: readonly string[]): Promise<void> {
    const rows = await this.database
      .selectFrom('devices')
      .select('id')
      .where('id', 'in', ids)
      .where('online', '=', true)
      .where('node_id', '=', this.nodeId)
      .execute();
    const known = new Set(rows.map(({ id }) => id));
    for (const id of ids) if (!known.has(id)) this.recorder.rewrite(id);
  }

  /** Those that are online at this node in the database, and not connected. What waits to be written says more later. */
  private async endDevices(after = ''): Promise<string | undefined> {
    const rows = await this.database
      .selectFrom('devices')
      .select('id')
      .where('online', '=', true)
      .where('node_id', '=', this.nodeId)
      .where('id', '>', after)
      .orderBy('id')
      .limit(STEP)
      .execute();
    const ended = rows.filter(({ id }) => !this.recorder.connected.has(id)).map(({ id }) => id);
    if (ended.length > 0) {
      await this.database
        .updateTable('devices')
        .set({ online: false, state_since: new Date(), offline_cause: UNKNOWN })
        .where('id', 'in', ended)
        .where('online', '=', true)
        .where('node_id', '=', this.nodeId)
        .execute();
    }
    return rows.at(-1)?.id;
  }

  private async endConnections(after = 0): Promise<number | undefined> {
    const rows = await this.database
      .selectFrom('connections')
      .select(['id', 'device_id', 'came_at'])
      .where('node_id', '=', this.nodeId)
      .where('went_at', 'is', null)
      .where('id', '>', after)
      .orderBy('id')
      .limit(STEP)
      .execute();
    const ended = rows.filter(({ device_id, came_at }) => !this.recorder.connected.has(device_id, came_at));
    if (ended.length > 0) {
      await this.database
        .updateTable('connections')
        .set({ went_at: new Date(), cause: UNKNOWN })
        .where(
          'id',
          'in',
          ended.map(({ id }) => id),
        )
        .where('went_at', 'is', null)
        .execute();
    }
    return rows.at(-1)?.id;
  }
}
