import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsByteLength, IsOptional, IsString, MaxLength, ValidateIf } from 'class-validator';
import { MAX_DEVICE_ID_BYTES } from '@fedecks/nest/wire';
import { anyJson } from '../any-json.js';
import { PageDto } from '../../http/page.js';
import { AreTags, MAX_TAGS } from '../../http/validation.js';

/** A device, as a list shows it. */
export class DeviceDto {
  @ApiProperty()
  readonly id!: string;

  @ApiProperty({ type: String, nullable: true })
  readonly name!: string | null;

  @ApiProperty({ type: [String] })
  readonly tags!: string[];

  @ApiProperty()
  readonly notes!: string;

  @ApiProperty({ enum: ['online', 'offline', 'never_seen'] })
  readonly state!: 'online' | 'offline' | 'never_seen';

  @ApiProperty({ type: Date, nullable: true, description: 'Since when it is in this state.' })
  readonly stateSince!: Date | null;

  @ApiProperty({ type: String, nullable: true, description: 'Why it is offline, as `connection_lost`.' })
  readonly offlineCause!: string | null;

  @ApiProperty({ description: 'It had 5 or more connections in the last 10 minutes.' })
  readonly flapping!: boolean;

  @ApiProperty({ type: Date, nullable: true })
  readonly firstSeen!: Date | null;

  @ApiProperty({ type: Date, nullable: true })
  readonly lastSeen!: Date | null;

  @ApiProperty({ type: String, nullable: true })
  readonly address!: string | null;

  @ApiProperty({ type: String, nullable: true })
  readonly agentVersion!: string | null;

  @ApiProperty({ type: String, nullable: true, description: 'The node it is, or was last, connected to.' })
  readonly nodeId!: string | null;

  @ApiProperty({ description: 'Refused at every login and upgrade.' })
  readonly blocked!: boolean;
}

/** A process that serves the fleet. */
export class NodeDto {
  @ApiProperty()
  readonly id!: string;

  @ApiProperty()
  readonly host!: string;

  @ApiProperty()
  readonly startedAt!: Date;

  @ApiProperty({ description: 'When it last wrote that it lives.' })
  readonly seenAt!: Date;
}

/** A device, with what it reported of itself. */
export class DeviceDetailDto extends DeviceDto {
  @ApiProperty(anyJson('What its agent reported at the last connect; null: nothing yet.'))
  readonly hello!: object | null;

  @ApiProperty(anyJson('The settings in force, as its agent reported them.'))
  readonly settings!: unknown;

  @ApiProperty({ type: NodeDto, nullable: true })
  readonly node!: NodeDto | null;

  @ApiProperty({ description: 'When it was added, or first seen.' })
  readonly createdAt!: Date;
}

export class DevicePageDto extends PageDto {
  @ApiProperty({ type: [DeviceDto] })
  readonly items!: DeviceDto[];

  @ApiPropertyOptional({ description: 'With `total=true`: how many match, on all pages.' })
  readonly total?: number;
}

/** What operators say of a device. What is left out stays. */
export class ChangeDeviceDto {
  @ApiPropertyOptional({ type: String, nullable: true, maxLength: 200 })
  @IsOptional()
  @IsString()
  @MaxLength(200)
  readonly name?: string | null;

  @ApiPropertyOptional({ type: [String], maxItems: MAX_TAGS })
  // Not IsOptional: null is no list.
  @ValidateIf(({ tags }: ChangeDeviceDto) => tags !== undefined)
  @AreTags()
  readonly tags?: string[];

  @ApiPropertyOptional({ maxLength: 10_000 })
  @ValidateIf(({ notes }: ChangeDeviceDto) => notes !== undefined)
  @IsString()
  @MaxLength(10_000)
  readonly notes?: string;
}

/** A new device. */
export class AddDeviceDto extends ChangeDeviceDto {
  @ApiProperty({ description: `1 to ${MAX_DEVICE_ID_BYTES} bytes.` })
  @IsByteLength(1, MAX_DEVICE_ID_BYTES)
  readonly id!: string;
}
