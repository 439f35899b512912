import { Allow, IsNumber, IsOptional, IsString, Max, Min } from 'class-validator';
import { type Term } from '@fedecks/nest/wire';

/** The body of a request to a device. */
export class RequestDto {
  @IsString()
  readonly event!: string;

  @Allow()
  readonly payload: Term = null;

  /** How long the answer may take, in milliseconds; 30,000 by default. */
  @IsOptional()
  @IsNumber()
  @Min(1)
  @Max(600_000)
  readonly timeoutMs?: number;
}
