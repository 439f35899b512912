import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsByteLength, IsNumber, IsOptional, Max, Min } from 'class-validator';
import { type DeviceDelivery } from '@fedecks/nest';
import { toJson } from '../../live/term-json.js';
import { anyJson } from '../any-json.js';

const MAX_TTL_MS = 30 * 24 * 60 * 60 * 1_000;

/** How a message to a device is kept. */
export class KeepDto {
  @ApiPropertyOptional({
    type: Number,
    nullable: true,
    minimum: 1,
    maximum: MAX_TTL_MS,
    description: 'How long it means something, in milliseconds; 7 days by default.',
  })
  @IsOptional()
  @IsNumber()
  @Min(1)
  @Max(MAX_TTL_MS)
  readonly ttlMs?: number | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    description: 'It takes the place of one in its lane with the same key that was not sent yet.',
  })
  @IsOptional()
  @IsByteLength(1, 256)
  readonly key?: string | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    description: 'Order holds within a lane; `default` by default.',
  })
  @IsOptional()
  @IsByteLength(1, 64)
  readonly lane?: string | null;
}

/** A message to keep for a device until it has handled it. */
export class DeliveryDto extends KeepDto {
  @ApiProperty({ description: 'The name of the event, 1 to 256 bytes.' })
  @IsByteLength(1, 256)
  readonly event!: string;

  // Not checked here: `Without` takes it out.
  @ApiPropertyOptional(anyJson('What comes with it; null by default.'))
  readonly payload?: unknown;
}

/** The options of the library: what is null has its default. */
export function keepOptionsOf({ ttlMs, key, lane }: KeepDto): {
  ttlMs?: number;
  key?: string;
  lane?: string;
} {
  return {
    ...(typeof ttlMs === 'number' && { ttlMs }),
    ...(typeof key === 'string' && { key }),
    ...(typeof lane === 'string' && { lane }),
  };
}

/** A delivery as operators see it. What is undefined is left out. */
export class ShownDeliveryDto {
  @ApiProperty({ description: 'Percent-encode it in a path.' })
  readonly id!: string;

  @ApiProperty()
  readonly deviceId!: string;

  @ApiProperty()
  readonly event!: string;

  @ApiPropertyOptional({ type: String })
  readonly key?: string | undefined;

  @ApiProperty({ enum: ['queued', 'sent', 'done', 'rejected', 'expired', 'cancelled'] })
  readonly state!: string;

  @ApiProperty({ description: 'How often it was sent.' })
  readonly attempts!: number;

  @ApiProperty()
  readonly queuedAt!: Date;

  @ApiPropertyOptional({ type: Date })
  readonly sentAt?: Date | undefined;

  @ApiPropertyOptional({ type: Date })
  readonly finalAt?: Date | undefined;

  @ApiProperty({ description: 'It was cancelled after it was sent: it is not sent again.' })
  readonly isCancelled!: boolean;

  @ApiPropertyOptional(anyJson('What the handler on the device returned.'))
  readonly result?: unknown;

  @ApiPropertyOptional({ type: String, description: 'Why it was rejected.' })
  readonly code?: string | undefined;

  @ApiPropertyOptional({ type: String, description: 'What the device says about it.' })
  readonly text?: string | undefined;
}

export function shownDelivery(delivery: DeviceDelivery): ShownDeliveryDto {
  const { id, deviceId, event, key, state, attempts, isCancelled, result, code, text } = delivery;
  const { queuedAt, sentAt, finalAt } = delivery;
  return {
    id,
    deviceId,
    event,
    key,
    state,
    attempts,
    queuedAt,
    sentAt,
    finalAt,
    isCancelled,
    result: result === undefined ? undefined : toJson(result),
    code,
    text,
  };
}
