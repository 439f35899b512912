import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { Database } from '../../database/database.js';
import { type DeviceDto } from '../devices/device.dto.js';
import { DeviceList } from '../devices/device-list.js';
import { DeviceRecords } from '../devices/device-records.js';
import { Readings } from '../history/readings.js';
import { rangeOf } from '../history/step.js';
import { type ExportDevicesDto, type ExportReadingsDto, type ReadingDto } from './export.dto.js';

const DEVICES_IN_PAGE = 500;
const READINGS_IN_PAGE = 5_000;

/** What is exported, page by page: the next one is read when it is asked for. */
@Injectable()
export class ExportPages {
  constructor(
    private readonly database: Database,
    private readonly list: DeviceList,
    private readonly records: DeviceRecords,
    private readonly readingsOfDevices: Readings,
  ) {}

  devices({ format: _format, ...filter }: ExportDevicesDto): AsyncGenerator<readonly DeviceDto[]> {
    return this.list.pages(filter, DEVICES_IN_PAGE);
  }

  /** By device, metric and time. @throws {HttpException} (at the first page) when something is wrong with the query. */
  async *readings(query: ExportReadingsDto): AsyncGenerator<readonly ReadingDto[]> {
    const { device, tag, metric } = query;
    const range = rangeOf(query);
    if (device !== undefined) await this.records.mustExist(device);
    const pages = device === undefined ? this.idsOf(tag) : [[device]];
    for await (const ids of pages) {
      for (const id of ids) {
        const metrics = metric === undefined ? await this.readingsOfDevices.namesOfReadings(id) : [metric];
        for (const each of metrics) yield* this.readingsOf(id, each, range);
      }
    }
  }

  private async *idsOf(tag: string | undefined): AsyncGenerator<readonly string[]> {
    const pages = this.list.pages(tag === undefined ? {} : { tag: [tag] }, DEVICES_IN_PAGE);
    for await (const page of pages) yield page.map(({ id }) => id);
  }

  private async *readingsOf(
    device: string,
    metric: string,
    { from, to }: { readonly from: Date; readonly to: Date },
  ): AsyncGenerator<readonly ReadingDto[]> {
    let after: string | undefined;
    do {
      const rows = await this.database
        .selectFrom('readings')
        // Exact: a `Date` has no microseconds.
        .select(['at', 'value', sql<string>`at::text`.as('exact')])
        .where('device_id', '=', device)
        .where('metric', '=', metric)
        .where('at', '>=', from)
        .where('at', '<', to)
        .$if(after !== undefined, (query) => query.where(sql<boolean>`at > ${after}::timestamptz`))
        .orderBy('at')
        .limit(READINGS_IN_PAGE)
        .execute();
      if (rows.length > 0) yield rows.map(({ at, value }) => ({ device, metric, at, value }));
      after = rows.length < READINGS_IN_PAGE ? undefined : rows.at(-1)?.exact;
    } while (after !== undefined);
  }
}
