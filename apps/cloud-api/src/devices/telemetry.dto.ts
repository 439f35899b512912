import { ArrayMaxSize, ArrayMinSize, IsNumber, IsOptional, IsPositive, Min } from 'class-validator';

/** What a device tells of itself in a `telemetry` event. */
export class TelemetryDto {
  /** Over 1, 5 and 15 minutes. */
  @IsNumber({}, { each: true })
  @ArrayMinSize(3)
  @ArrayMaxSize(3)
  readonly loadAverages!: readonly number[];

  @IsPositive()
  readonly memoryTotalBytes!: number;

  @Min(0)
  readonly memoryFreeBytes!: number;

  @Min(0)
  readonly uptimeS!: number;

  /** Left out by a device that cannot tell. */
  @IsOptional()
  @IsNumber()
  readonly temperatureCelsius?: number;
}
