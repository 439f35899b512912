import { randomUUID } from 'node:crypto';
import {
  BadRequestException,
  HttpException,
  Injectable,
  Logger,
  ServiceUnavailableException,
} from '@nestjs/common';
import { Fedecks } from '@fedecks/nest';
import { FedecksError, type Term } from '@fedecks/nest/wire';
import { sql } from 'kysely';
import { from, lastValueFrom, mergeMap, toArray } from 'rxjs';
import { type Actor } from '../../access/actor.js';
import { detailsOf } from '../../access/audit-details.js';
import { Audit } from '../../access/audit.js';
import { statusOf } from '../../access/status-of.js';
import { Database } from '../../database/database.js';
import { isUnreachable } from '../../database/database-errors.js';
import { DeviceRecords } from '../devices/device-records.js';
import { DeviceSelection } from '../devices/device-selection.js';
import { Deliveries } from '../messages/deliveries.js';
import { DeviceBlocks } from '../../enrolment/device-blocks.js';
import { keepOptionsOf } from '../messages/delivery.dto.js';
import { MAX_TAGS } from '../../http/validation.js';
import {
  type BulkActionDto,
  type BulkActionType,
  type BulkDto,
  type BulkFailureDto,
  type BulkResultDto,
} from './bulk.dto.js';

/** How many devices something is done to at once. */
const CONCURRENCY = 20;
const SHOWN_FAILURES = 100;
/** What becomes of a device that is not connected, and should be disconnected: nothing. */
const OFFLINE = 'offline';
const NOT_TRIED = 'Not tried, because the database or other nodes did not answer: send the same again.';

/** Which fields of an action the audit of each device keeps: with other types they are not checked. */
const DETAILS: Partial<Record<BulkActionType, readonly string[]>> = {
  deliver: ['event', 'key'],
  tag: ['tag'],
  untag: ['tag'],
};

interface Outcome {
  readonly id: string;
  /** As `delivered`. */
  readonly name: string;
  /** Why it failed. */
  readonly message?: string;
  /** For the audit: as if it had been done to this device alone. Undefined: nothing was done to it. */
  readonly status?: number;
}

/** Who does it, and from where. */
interface Doer {
  readonly actor: Actor;
  readonly address: string;
}

const DONE = 200;

/** Does the same to many devices. */
@Injectable()
export class BulkActions {
  private readonly logger = new Logger('BulkActions');

  constructor(
    private readonly selection: DeviceSelection,
    private readonly database: Database,
    private readonly fedecks: Fedecks,
    private readonly records: DeviceRecords,
    private readonly deliveries: Deliveries,
    private readonly blocks: DeviceBlocks,
    private readonly audit: Audit,
  ) {}

  /** @throws {BadRequestException} unless exactly one way to select is given, for at most 10,000 devices. */
  async run({ select, action, dryRun = false }: BulkDto, payload: Term, doer: Doer): Promise<BulkResultDto> {
    const bulk = randomUUID();
    const given = Object.values(select).filter((value) => value !== undefined);
    if (given.length !== 1)
      throw new BadRequestException(['select must have exactly one of ids, tags, filter and all']);
    const { known, unknown } = await this.selection.select(select);
    const missing = unknown.map((id) => ({ id, name: 'unknown', message: 'There is no such device.' }));
    const done = dryRun ? [] : await this.act(known, action, payload);
    await this.record(bulk, action, doer, done);
    return { bulk, selected: known.length, dryRun, ...summaryOf([...missing, ...done]) };
  }

  private async act(
    ids: readonly string[],
    action: BulkActionDto,
    payload: Term,
  ): Promise<readonly Outcome[]> {
    if (action.type === 'tag' || action.type === 'untag') return this.changeTags(ids, action);
    let isAway = false;
    const outcomeOf = async (id: string): Promise<Outcome> => {
      if (isAway) return { id, name: 'failed', message: NOT_TRIED };
      try {
        const name = await this.actOn(id, action, payload);
        return name === OFFLINE ? { id, name } : { id, name, status: DONE };
      } catch (error) {
        // Thousands of devices that wait for the database one after another would take hours.
        isAway ||= isUnreachable(error) || error instanceof ServiceUnavailableException;
        return { id, name: 'failed', message: this.reasonOf(error), status: statusOf(error) };
      }
    };
    return lastValueFrom(from(ids).pipe(mergeMap(outcomeOf, CONCURRENCY), toArray()));
  }

  private async actOn(id: string, action: BulkActionDto, payload: Term): Promise<string> {
    switch (action.type) {
      case 'deliver':
        await this.deliveries.put(id, action.event ?? '', payload, keepOptionsOf(action));
        return 'delivered';
      case 'disconnect':
        return (await this.fedecks.disconnect(id)) ? 'disconnected' : OFFLINE;
      case 'revoke':
        await this.records.revoke(id);
        return 'revoked';
      case 'block':
        await this.blocks.block(id);
        return 'blocked';
      case 'unblock':
        await this.blocks.unblock(id);
        return 'unblocked';
      default:
        await this.records.delete(id);
        return 'deleted';
    }
  }

  /** All in one statement. */
  private async changeTags(
    ids: readonly string[],
    { type, tag }: BulkActionDto,
  ): Promise<readonly Outcome[]> {
    const [change, condition, name] =
      type === 'tag'
        ? [
            sql<string[]>`array_append(tags, ${tag}::text)`,
            sql<boolean>`NOT ${tag}::text = any(tags) AND cardinality(tags) < ${MAX_TAGS}`,
            'tagged',
          ]
        : [
            sql<string[]>`array_remove(tags, ${tag}::text)`,
            sql<boolean>`${tag}::text = any(tags)`,
            'untagged',
          ];
    const rows = await this.database
      .updateTable('devices')
      .set({ tags: change })
      .where(sql<boolean>`id = any(${ids}::text[])`)
      .where(condition)
      .returning('id')
      .execute();
    const changed = new Set(rows.map(({ id }) => id));
    return ids.map((id) => (changed.has(id) ? { id, name, status: DONE } : { id, name: 'unchanged' }));
  }

  /** So that whoever looks at a device sees what was done to it: an entry for each, as if it had been done to it alone. */
  private async record(
    bulk: string,
    action: BulkActionDto,
    doer: Doer,
    outcomes: readonly Outcome[],
  ): Promise<void> {
    const { type } = action;
    const details = { bulk, ...detailsOf(action, DETAILS[type] ?? []) };
    const targets = outcomes.flatMap(({ id, status }) =>
      status === undefined ? [] : { target: id, status },
    );
    await this.audit.recordEach({ ...doer, action: `device.${type}`, details }, targets);
  }

  private reasonOf(error: unknown): string {
    if (error instanceof FedecksError || error instanceof HttpException) return error.message;
    if (isUnreachable(error)) return 'The database does not answer.';
    this.logger.error(error);
    return 'Internal error: the log of cloud-api says more.';
  }
}

function summaryOf(all: readonly Outcome[]): Pick<BulkResultDto, 'outcomes' | 'failures'> {
  const outcomes: Record<string, number> = {};
  const failures: BulkFailureDto[] = [];
  for (const { id, name, message } of all) {
    outcomes[name] = (outcomes[name] ?? 0) + 1;
    if (message !== undefined && failures.length < SHOWN_FAILURES) failures.push({ id, message });
  }
  return { outcomes, failures };
}
