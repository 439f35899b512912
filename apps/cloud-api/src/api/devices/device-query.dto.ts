import { ApiPropertyOptional, IntersectionType } from '@nestjs/swagger';
import { ArrayMaxSize, IsIn, IsOptional, IsString, Length, MaxLength } from 'class-validator';
import { PageQuery } from '../../http/page.js';
import { AreTags, IsTime, Repeatable } from '../../http/validation.js';
import { DEVICE_SORTS, type DeviceSort } from './device-sorts.js';

const STATES = ['online', 'offline', 'never_seen', 'flapping', 'blocked'] as const;

/** Which devices. */
export class DeviceFilterDto {
  @ApiPropertyOptional({ description: 'Part of the id, the name or the notes; case does not matter.' })
  @IsOptional()
  @IsString()
  @Length(1, 200)
  readonly search?: string;

  @ApiPropertyOptional({ type: [String], description: 'A tag; repeat it for devices that have all of them.' })
  @IsOptional()
  @Repeatable()
  @ArrayMaxSize(20)
  @AreTags()
  readonly tag?: string[];

  @ApiPropertyOptional({
    enum: STATES,
    description: '`flapping`: 5 or more connections in the last 10 minutes.',
  })
  @IsOptional()
  @IsIn(STATES)
  readonly state?: (typeof STATES)[number];

  @ApiPropertyOptional({ description: 'The version of the agent.' })
  @IsOptional()
  @IsString()
  @MaxLength(200)
  readonly version?: string;

  @ApiPropertyOptional({ type: String, format: 'date-time' })
  @IsOptional()
  @IsTime()
  readonly lastSeenBefore?: Date;

  @ApiPropertyOptional({ type: String, format: 'date-time' })
  @IsOptional()
  @IsTime()
  readonly lastSeenAfter?: Date;
}

/** Which devices, in which order. */
export class DeviceQueryDto extends IntersectionType(DeviceFilterDto, PageQuery) {
  @ApiPropertyOptional({
    enum: DEVICE_SORTS,
    default: 'id',
    description: '`-` turns it around. Devices without a name are sorted by id; those never seen come first.',
  })
  @IsOptional()
  @IsIn(DEVICE_SORTS)
  readonly sort: DeviceSort = 'id';

  @ApiPropertyOptional({ enum: ['true'], description: 'Count all that match, too: `total`.' })
  @IsOptional()
  @IsIn(['true'])
  readonly total?: 'true';
}
