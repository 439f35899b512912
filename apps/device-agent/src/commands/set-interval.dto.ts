import { IsInt, Max, Min } from 'class-validator';
import { INTERVAL } from '../config.js';

/** What comes with `set_interval`. */
export class SetIntervalDto {
  /** The time from one telemetry to the next, in milliseconds. */
  @IsInt()
  @Min(INTERVAL.minMs)
  @Max(INTERVAL.maxMs)
  readonly intervalMs!: number;
}
