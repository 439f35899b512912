import { ArrayMaxSize, ArrayMinSize, IsNumber, IsOptional, IsPositive, Min } from 'class-validator';

/** What a device tells of itself in a `telemetry` event. Whatever it cannot tell at the moment is left out. */
export class TelemetryDto {
  /** Over 1, 5 and 15 minutes. */
  @IsOptional()
  @IsNumber({}, { each: true })
  @ArrayMinSize(3)
  @ArrayMaxSize(3)
  readonly loadAverages?: readonly number[];

  @IsOptional()
  @IsPositive()
  readonly memoryTotalBytes?: number;

  /** Not used for anything. */
  @IsOptional()
  @Min(0)
  readonly memoryFreeBytes?: number;

  /** What programs could still have: the free, and what caches would give back. */
  @IsOptional()
  @Min(0)
  readonly memoryAvailableBytes?: number;

  /** Of the file system that holds the state of the agent. */
  @IsOptional()
  @Min(0)
  readonly diskTotalBytes?: number;

  @IsOptional()
  @Min(0)
  readonly diskFreeBytes?: number;

  @IsOptional()
  @Min(0)
  readonly uptimeS?: number;

  /** Of the hottest sensor. */
  @IsOptional()
  @IsNumber()
  readonly temperatureCelsius?: number;

  /** Since it was switched on, over all its interfaces but the one to itself. */
  @IsOptional()
  @Min(0)
  readonly networkReceivedBytes?: number;

  @IsOptional()
  @Min(0)
  readonly networkSentBytes?: number;
}

const MEBIBYTE = 1024 * 1024;

/** A reading in a line, for a log. */
export function summary(reading: TelemetryDto): string {
  const { loadAverages, memoryTotalBytes, diskTotalBytes, diskFreeBytes, temperatureCelsius, uptimeS } =
    reading;
  const memory = reading.memoryAvailableBytes ?? reading.memoryFreeBytes;
  const { networkReceivedBytes, networkSentBytes } = reading;
  const parts = [
    loadAverages && `load ${loadAverages[0]?.toFixed(2)}`,
    memory !== undefined && memoryTotalBytes && `${mebibytes(memory, memoryTotalBytes)} memory free`,
    diskFreeBytes !== undefined && diskTotalBytes && `${mebibytes(diskFreeBytes, diskTotalBytes)} disk free`,
    temperatureCelsius !== undefined && `${temperatureCelsius.toFixed(1)} °C`,
    uptimeS !== undefined && `up ${Math.floor(uptimeS / 3600)} h`,
    networkReceivedBytes !== undefined && `${Math.round(networkReceivedBytes / MEBIBYTE)} MiB received`,
    networkSentBytes !== undefined && `${Math.round(networkSentBytes / MEBIBYTE)} MiB sent`,
  ];
  return parts.filter((part) => typeof part === 'string').join(', ') || 'nothing';
}

function mebibytes(part: number, whole: number): string {
  return `${Math.round(part / MEBIBYTE)} of ${Math.round(whole / MEBIBYTE)} MiB`;
}
