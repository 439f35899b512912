import { ApiProperty, ApiPropertyOptional, IntersectionType } from '@nestjs/swagger';
import { IsByteLength, IsIn, IsOptional } from 'class-validator';
import { MAX_DEVICE_ID_BYTES } from '@fedecks/nest/wire';
import { DeviceFilterDto } from '../devices/device-query.dto.js';
import { RangeDto } from '../history/readings.dto.js';
import { IsTag } from '../../http/validation.js';

export const FORMATS = ['csv', 'ndjson'] as const;
export type Format = (typeof FORMATS)[number];

export class FormatDto {
  @ApiPropertyOptional({ enum: FORMATS, default: 'csv' })
  @IsOptional()
  @IsIn(FORMATS)
  readonly format: Format = 'csv';
}

/** Which devices, in which format. */
export class ExportDevicesDto extends IntersectionType(DeviceFilterDto, FormatDto) {}

/** Which readings, in which format: those of a device, of all with a tag, or of all. */
export class ExportReadingsDto extends IntersectionType(RangeDto, FormatDto) {
  @ApiPropertyOptional({ description: 'The id of a device.' })
  @IsOptional()
  @IsByteLength(1, MAX_DEVICE_ID_BYTES)
  readonly device?: string;

  @ApiPropertyOptional({ description: 'A tag of devices.' })
  @IsOptional()
  @IsTag()
  readonly tag?: string;

  @ApiPropertyOptional({ description: 'The name of a metric; all by default.' })
  @IsOptional()
  @IsByteLength(1, 256)
  readonly metric?: string;
}

/** A reading in an export. */
export class ReadingDto {
  @ApiProperty()
  readonly device!: string;

  @ApiProperty()
  readonly metric!: string;

  @ApiProperty()
  readonly at!: Date;

  @ApiProperty()
  readonly value!: number;
}
