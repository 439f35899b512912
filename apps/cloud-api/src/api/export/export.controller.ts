import { type ServerResponse } from 'node:http';
import { Get, Logger, Query, Res } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiNotFoundResponse,
  ApiOkResponse,
  ApiOperation,
  getSchemaPath,
} from '@nestjs/swagger';
import { type Actor } from '../../access/actor.js';
import { CurrentActor } from '../../access/current-actor.decorator.js';
import { Requires } from '../../access/requires.decorator.js';
import { V1Controller } from '../../access/v1-controller.decorator.js';
import { Validated } from '../../http/validated.pipe.js';
import { DeviceDto } from '../devices/device.dto.js';
import { ExportLimits } from './export-limits.js';
import { ExportPages } from './export-pages.js';
import { ExportDevicesDto, ExportReadingsDto, type Format, ReadingDto } from './export.dto.js';
import { sendRows } from './send-rows.js';

const DEVICE_COLUMNS = [
  'id',
  'name',
  'tags',
  'notes',
  'state',
  'stateSince',
  'offlineCause',
  'flapping',
  'firstSeen',
  'lastSeen',
  'address',
  'agentVersion',
  'nodeId',
  'blocked',
] as const satisfies readonly (keyof DeviceDto)[];
const READING_COLUMNS = ['device', 'metric', 'at', 'value'] as const satisfies readonly (keyof ReadingDto)[];

/** In seconds, where too many exports run. */
const RETRY_AFTER_S = 10;

/** All devices and readings, streamed. */
@V1Controller('export')
export class ExportController {
  private readonly logger = new Logger('Export');

  constructor(
    private readonly pages: ExportPages,
    private readonly limits: ExportLimits,
  ) {}

  @Get('devices')
  @Requires('viewer')
  @ApiOperation({ summary: 'All devices as CSV or NDJSON, by id, with the filters of the list' })
  @ApiExtraModels(DeviceDto)
  @ApiOkResponse({
    content: { 'text/csv': { schema: { type: 'string' } }, 'application/x-ndjson': lineOf(DeviceDto) },
  })
  async devices(
    @Query(Validated) query: ExportDevicesDto,
    @CurrentActor() actor: Actor,
    @Res() response: ServerResponse,
  ): Promise<void> {
    await this.send(actor, response, 'devices', query.format, DEVICE_COLUMNS, this.pages.devices(query));
  }

  @Get('readings')
  @Requires('viewer')
  @ApiOperation({ summary: 'All readings of a time as CSV or NDJSON, by device, metric and time' })
  @ApiExtraModels(ReadingDto)
  @ApiOkResponse({
    content: { 'text/csv': { schema: { type: 'string' } }, 'application/x-ndjson': lineOf(ReadingDto) },
  })
  @ApiNotFoundResponse({ description: 'There is no such device.' })
  async readings(
    @Query(Validated) query: ExportReadingsDto,
    @CurrentActor() actor: Actor,
    @Res() response: ServerResponse,
  ): Promise<void> {
    await this.send(actor, response, 'readings', query.format, READING_COLUMNS, this.pages.readings(query));
  }

  private async send<Row extends object>(
    actor: Actor,
    response: ServerResponse,
    name: string,
    format: Format,
    columns: readonly (keyof Row & string)[],
    pages: AsyncGenerator<readonly Row[]>,
  ): Promise<void> {
    const end = this.begin(actor, response);
    try {
      await sendRows(response, name, format, columns, pages);
    } catch (error) {
      if (!response.headersSent && !response.destroyed) throw error;
      // The connection is closed already: the reader has gone, or knows that something is missing.
      const reason = error instanceof Error ? error.message : 'unknown error';
      this.logger.warn(`The export of ${name} has ended early: ${reason}`);
    } finally {
      // Where the reader goes away in the middle of a page, the database still reads it.
      await pages.return(undefined);
      end();
    }
  }

  private begin(actor: Actor, response: ServerResponse): () => void {
    try {
      return this.limits.begin(actor);
    } catch (error) {
      response.setHeader('retry-after', RETRY_AFTER_S);
      throw error;
    }
  }
}

function lineOf(model: typeof DeviceDto | typeof ReadingDto): { schema: { $ref: string } } {
  return { schema: { $ref: getSchemaPath(model) } };
}
