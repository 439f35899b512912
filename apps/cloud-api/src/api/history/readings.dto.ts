import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsByteLength, IsInt, IsOptional, Max, Min } from 'class-validator';
import { IsTime } from '../../http/validation.js';

/** How many points an answer has at most. */
export const MAX_POINTS = 2_000;
const MAX_STEP_MS = 366 * 24 * 60 * 60 * 1_000;

/** A time range. */
export class RangeDto {
  @ApiPropertyOptional({
    type: String,
    format: 'date-time',
    description: 'By default one day before `to`.',
  })
  @IsOptional()
  @IsTime()
  readonly from?: Date;

  @ApiPropertyOptional({ type: String, format: 'date-time', description: 'By default now.' })
  @IsOptional()
  @IsTime()
  readonly to?: Date;
}

/** Which readings of a device. */
export class ReadingsQueryDto extends RangeDto {
  @ApiProperty({ description: 'The name of the metric, as `temperatureCelsius`.' })
  @IsByteLength(1, 256)
  readonly metric!: string;

  @ApiPropertyOptional({
    minimum: 1_000,
    maximum: MAX_STEP_MS,
    description: `The time from point to point, in ms: at most ${MAX_POINTS} points. By default some hundred points.`,
  })
  @IsOptional()
  @Type(() => Number)
  @IsInt()
  @Min(1_000)
  @Max(MAX_STEP_MS)
  readonly step?: number;
}

/** The readings of one step. */
export class PointDto {
  @ApiProperty({ description: 'The beginning of the step.' })
  readonly at!: Date;

  @ApiProperty()
  readonly min!: number;

  @ApiProperty()
  readonly avg!: number;

  @ApiProperty()
  readonly max!: number;

  @ApiProperty({ description: 'How many readings.' })
  readonly count!: number;
}

/** A metric over time. Steps without readings are left out. */
export class ReadingsDto {
  @ApiProperty()
  readonly metric!: string;

  @ApiProperty()
  readonly from!: Date;

  @ApiProperty()
  readonly to!: Date;

  @ApiProperty({ description: 'In ms.' })
  readonly step!: number;

  @ApiProperty({ enum: ['readings', 'minutes', 'hours'], description: 'What the points are made of.' })
  readonly source!: 'readings' | 'minutes' | 'hours';

  @ApiProperty({ type: [PointDto] })
  readonly points!: PointDto[];
}

/** A metric, and its last value. */
export class MetricDto {
  @ApiProperty()
  readonly metric!: string;

  @ApiProperty({
    description: 'The last reading; when readings are not kept any more, the mean of the last hour.',
  })
  readonly value!: number;

  @ApiProperty()
  readonly at!: Date;
}

export class MetricsDto {
  @ApiProperty({ type: [MetricDto] })
  readonly items!: MetricDto[];
}
