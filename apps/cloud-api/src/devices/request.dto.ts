import { IsNumber, IsOptional, IsString, Max, Min } from 'class-validator';

/** The body of a request to a device, without its payload. */
export class RequestDto {
  @IsString()
  readonly event!: string;

  /** How long the answer may take, in milliseconds; 30,000 by default. */
  @IsOptional()
  @IsNumber()
  @Min(1)
  @Max(600_000)
  readonly timeoutMs?: number | null;
}
