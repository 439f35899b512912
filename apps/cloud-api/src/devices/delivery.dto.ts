import { IsByteLength, IsNumber, IsOptional, Max, Min } from 'class-validator';

/** The body of a delivery to a device, without its payload. */
export class DeliveryDto {
  @IsByteLength(1, 256)
  readonly event!: string;

  /** How long it means something, in milliseconds; 7 days by default. */
  @IsOptional()
  @IsNumber()
  @Min(1)
  @Max(30 * 24 * 60 * 60 * 1_000)
  readonly ttlMs?: number | null;

  /** It takes the place of one in its lane with the same key that was not sent yet. */
  @IsOptional()
  @IsByteLength(1, 256)
  readonly key?: string | null;

  /** Order holds within a lane; `default` by default. */
  @IsOptional()
  @IsByteLength(1, 64)
  readonly lane?: string | null;
}
