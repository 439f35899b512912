import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  ArrayUnique,
  Equals,
  IsArray,
  IsBoolean,
  IsByteLength,
  IsIn,
  IsNotEmptyObject,
  IsObject,
  IsOptional,
  ValidateIf,
  ValidateNested,
} from 'class-validator';
import { MAX_DEVICE_ID_BYTES } from '@fedecks/nest/wire';
import { anyJson } from '../any-json.js';
import { DeviceFilterDto } from '../devices/device-query.dto.js';
import { MAX_SELECTED } from '../devices/device-selection.js';
import { KeepDto } from '../messages/delivery.dto.js';
import { AreTags, IsTag } from '../../http/validation.js';

const ACTIONS = ['deliver', 'tag', 'untag', 'block', 'unblock', 'disconnect', 'revoke', 'delete'] as const;
export type BulkActionType = (typeof ACTIONS)[number];

/** Which devices: exactly one of the fields. */
export class SelectDto {
  @ApiPropertyOptional({ type: [String], minItems: 1, maxItems: MAX_SELECTED })
  @ValidateIf(({ ids }: SelectDto) => ids !== undefined)
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(MAX_SELECTED)
  @ArrayUnique()
  @IsByteLength(1, MAX_DEVICE_ID_BYTES, { each: true })
  readonly ids?: string[];

  @ApiPropertyOptional({ type: [String], description: 'Devices that have all of these tags. At least one.' })
  @ValidateIf(({ tags }: SelectDto) => tags !== undefined)
  @ArrayMinSize(1)
  @AreTags()
  readonly tags?: string[];

  @ApiPropertyOptional({
    type: DeviceFilterDto,
    description: 'Devices that `GET /api/v1/devices` finds with these parameters. At least one.',
  })
  @ValidateIf(({ filter }: SelectDto) => filter !== undefined)
  @IsObject()
  @IsNotEmptyObject()
  @ValidateNested()
  @Type(() => DeviceFilterDto)
  readonly filter?: DeviceFilterDto;

  @ApiPropertyOptional({ enum: [true] })
  @ValidateIf(({ all }: SelectDto) => all !== undefined)
  @Equals(true)
  readonly all?: true;
}

/** What is done to each of them. */
export class BulkActionDto extends KeepDto {
  @ApiProperty({ enum: ACTIONS })
  @IsIn(ACTIONS)
  readonly type!: BulkActionType;

  @ApiPropertyOptional({ description: 'With `tag` and `untag`: 1 to 64 bytes.' })
  @ValidateIf(({ type }: BulkActionDto) => type === 'tag' || type === 'untag')
  @IsTag()
  readonly tag?: string;

  @ApiPropertyOptional({ description: 'With `deliver`: the name of the event, 1 to 256 bytes.' })
  @ValidateIf(({ type }: BulkActionDto) => type === 'deliver')
  @IsByteLength(1, 256)
  readonly event?: string;

  // Not checked here: `Without` takes it out.
  @ApiPropertyOptional(anyJson('With `deliver`: what comes with the event; null by default.'))
  readonly payload?: unknown;
}

/** The same action for many devices. */
export class BulkDto {
  @ApiProperty({ type: SelectDto })
  @IsObject()
  @ValidateNested()
  @Type(() => SelectDto)
  readonly select!: SelectDto;

  @ApiProperty({ type: BulkActionDto })
  @IsObject()
  @ValidateNested()
  @Type(() => BulkActionDto)
  readonly action!: BulkActionDto;

  @ApiPropertyOptional({ default: false, description: 'Do nothing, and tell how many devices are hit.' })
  @IsOptional()
  @IsBoolean()
  readonly dryRun?: boolean;
}

/** A device for which it failed. */
export class BulkFailureDto {
  @ApiProperty()
  readonly id!: string;

  @ApiProperty()
  readonly message!: string;
}

/** What became of it. */
export class BulkResultDto {
  @ApiProperty({
    format: 'uuid',
    description:
      'Names this action: the audit has it in `details` of each device to which something was done.',
  })
  readonly bulk!: string;

  @ApiProperty({ description: 'How many devices were selected.' })
  readonly selected!: number;

  @ApiProperty()
  readonly dryRun!: boolean;

  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'number' },
    description: 'How many devices had which outcome: as `delivered`, `unchanged`, `unknown` or `failed`.',
    example: { delivered: 499, failed: 1 },
  })
  readonly outcomes!: Record<string, number>;

  @ApiProperty({ type: [BulkFailureDto], description: 'The first 100.' })
  readonly failures!: BulkFailureDto[];
}
