import { ApiProperty } from '@nestjs/swagger';
import { NodeDto } from '../devices/device.dto.js';

/** A process that serves the fleet, and how it is. */
export class ServingNodeDto extends NodeDto {
  @ApiProperty({ description: 'It has written in the last 30 s that it lives.' })
  readonly alive!: boolean;

  @ApiProperty({ description: 'It can reach the other nodes, or there are none.' })
  readonly backplaneUp!: boolean;

  @ApiProperty({ description: 'How many devices are connected to it.' })
  readonly devices!: number;
}

export class NodesDto {
  @ApiProperty({ type: [ServingNodeDto] })
  readonly items!: ServingNodeDto[];
}

/** How many devices are in each state. Those that are blocked or flap are in another one, too. */
export class CountsDto {
  @ApiProperty()
  readonly all!: number;

  @ApiProperty()
  readonly online!: number;

  @ApiProperty()
  readonly offline!: number;

  @ApiProperty()
  readonly neverSeen!: number;

  @ApiProperty()
  readonly flapping!: number;

  @ApiProperty()
  readonly blocked!: number;
}

export class FlappingDto {
  @ApiProperty()
  readonly id!: string;

  @ApiProperty({ description: 'How many connections it had in the last 10 minutes.' })
  readonly connects!: number;
}

export class LastHourDto {
  @ApiProperty({ description: 'Connections that began.' })
  readonly connects!: number;

  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'number' },
    description: 'Connections that ended, by cause.',
  })
  readonly closes!: Record<string, number>;
}

const EVENT_TYPES = ['connected', 'disconnected'] as const;

/** A device came or went. */
export class FleetEventDto {
  @ApiProperty()
  readonly at!: Date;

  @ApiProperty()
  readonly deviceId!: string;

  @ApiProperty({ enum: EVENT_TYPES })
  readonly type!: (typeof EVENT_TYPES)[number];

  @ApiProperty({ type: String, nullable: true, description: 'Why it went, as `connection_lost`.' })
  readonly cause!: string | null;
}

/** The fleet at a glance. */
export class OverviewDto {
  @ApiProperty({ type: CountsDto })
  readonly devices!: CountsDto;

  @ApiProperty({ type: [ServingNodeDto] })
  readonly nodes!: ServingNodeDto[];

  @ApiProperty({ type: LastHourDto })
  readonly lastHour!: LastHourDto;

  @ApiProperty({ type: [FlappingDto], description: 'The 20 worst.' })
  readonly flapping!: FlappingDto[];

  @ApiProperty({ type: [FleetEventDto], description: 'The 50 newest, the newest first.' })
  readonly events!: FleetEventDto[];
}
