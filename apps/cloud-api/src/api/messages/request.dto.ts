import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsByteLength, IsNumber, IsOptional, Max, Min } from 'class-validator';
import { anyJson } from '../any-json.js';

/** A request to a device. */
export class RequestDto {
  @ApiProperty({ description: 'The name of the event, 1 to 256 bytes.' })
  @IsByteLength(1, 256)
  readonly event!: string;

  // Not checked here: `Without` takes it out.
  @ApiPropertyOptional(anyJson('What comes with it; null by default.'))
  readonly payload?: unknown;

  @ApiPropertyOptional({
    type: Number,
    nullable: true,
    minimum: 1,
    maximum: 600_000,
    description: 'How long the answer may take, in milliseconds; 30,000 by default.',
  })
  @IsOptional()
  @IsNumber()
  @Min(1)
  @Max(600_000)
  readonly timeoutMs?: number | null;
}

/** What a device has answered. */
export class AnswerDto {
  @ApiProperty(anyJson('What the handler on the device returned; null: nothing.'))
  readonly answer!: unknown;
}
