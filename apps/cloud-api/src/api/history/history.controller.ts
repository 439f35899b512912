import { Get, Query } from '@nestjs/common';
import { ApiNotFoundResponse, ApiOkResponse, ApiOperation } from '@nestjs/swagger';
import { Requires } from '../../access/requires.decorator.js';
import { V1Controller } from '../../access/v1-controller.decorator.js';
import { Validated } from '../../http/validated.pipe.js';
import { DeviceIdParam } from '../../http/device-id.js';
import { type Page, PageQuery } from '../../http/page.js';
import {
  type ConnectionDto,
  ConnectionPageDto,
  type MessageDto,
  MessagePageDto,
  MessageQueryDto,
} from './history.dto.js';
import { History } from './history.js';
import { MetricsDto, ReadingsDto, ReadingsQueryDto } from './readings.dto.js';
import { Readings } from './readings.js';

/** What a device did, said and measured. */
@V1Controller('devices')
export class HistoryController {
  constructor(
    private readonly history: History,
    private readonly readings: Readings,
  ) {}

  @Get(':id/connections')
  @Requires('viewer')
  @ApiOperation({ summary: 'When a device came and went, and why; the newest first' })
  @ApiOkResponse({ type: ConnectionPageDto })
  @ApiNotFoundResponse({ description: 'There is no such device.' })
  connections(@DeviceIdParam() id: string, @Query(Validated) query: PageQuery): Promise<Page<ConnectionDto>> {
    return this.history.connections(id, query);
  }

  @Get(':id/messages')
  @Requires('viewer')
  @ApiOperation({ summary: 'Messages of the last days, from and to a device; the newest first' })
  @ApiOkResponse({ type: MessagePageDto })
  @ApiNotFoundResponse({ description: 'There is no such device.' })
  messages(@DeviceIdParam() id: string, @Query(Validated) query: MessageQueryDto): Promise<Page<MessageDto>> {
    return this.history.messages(id, query);
  }

  @Get(':id/metrics')
  @Requires('viewer')
  @ApiOperation({ summary: 'What a device measures, with the last values' })
  @ApiOkResponse({ type: MetricsDto })
  @ApiNotFoundResponse({ description: 'There is no such device.' })
  async metrics(@DeviceIdParam() id: string): Promise<MetricsDto> {
    return { items: await this.readings.metrics(id) };
  }

  @Get(':id/readings')
  @Requires('viewer')
  @ApiOperation({ summary: 'A metric of a device over time: min, avg, max and count of each step' })
  @ApiOkResponse({ type: ReadingsDto })
  @ApiNotFoundResponse({ description: 'There is no such device.' })
  points(@DeviceIdParam() id: string, @Query(Validated) query: ReadingsQueryDto): Promise<ReadingsDto> {
    return this.readings.points(id, query);
  }
}
