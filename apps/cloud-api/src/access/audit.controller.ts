import { Get, Query } from '@nestjs/common';
import { ApiOperation, ApiPropertyOptional, ApiTags } from '@nestjs/swagger';
import { IsOptional, IsString, MaxLength } from 'class-validator';
import { Audit, type KeptAuditEntry } from './audit.js';
import { type Page, pageOf, PageQuery, readCursor } from '../http/page.js';
import { IsTime } from '../http/validation.js';
import { Requires } from './requires.decorator.js';
import { V1Controller } from './v1-controller.decorator.js';
import { Validated } from '../http/validated.pipe.js';

/** Which entries to list. */
export class AuditQuery extends PageQuery {
  @IsOptional()
  @IsString()
  @MaxLength(64)
  @ApiPropertyOptional({ description: 'The name of an operator or an API key, `API_KEY`, or `nobody`.' })
  readonly actor?: string;

  @IsOptional()
  @IsString()
  @MaxLength(64)
  @ApiPropertyOptional({ description: 'As `device.block`.' })
  readonly action?: string;

  @IsOptional()
  @IsString()
  @MaxLength(300)
  @ApiPropertyOptional({ description: 'What it was done to: a device id, for example.' })
  readonly target?: string;

  @IsOptional()
  @IsTime()
  @ApiPropertyOptional({ description: 'From this time on, in ISO 8601.' })
  readonly since?: Date;

  @IsOptional()
  @IsTime()
  @ApiPropertyOptional({ description: 'Before this time, in ISO 8601.' })
  readonly until?: Date;
}

/** Who did what. */
@V1Controller('audit')
@ApiTags('audit')
export class AuditController {
  constructor(private readonly audit: Audit) {}

  @Get()
  @Requires('operator')
  @ApiOperation({ summary: 'List who did what, the newest first' })
  async list(@Query(Validated) { limit, cursor, ...filter }: AuditQuery): Promise<Page<KeptAuditEntry>> {
    const before = readCursor<[number]>('audit', cursor, ['number'])?.[0];
    const entries = await this.audit.list(limit + 1, { ...filter, before });
    return pageOf(
      entries,
      limit,
      'audit',
      ({ id }) => [id],
      (entry) => entry,
    );
  }
}
