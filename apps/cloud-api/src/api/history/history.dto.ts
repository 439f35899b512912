import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsOptional, IsString, MaxLength } from 'class-validator';
import { anyJson } from '../any-json.js';
import { PageDto, PageQuery } from '../../http/page.js';

const DIRECTIONS = ['up', 'down'] as const;

/** A connection of a device. */
export class ConnectionDto {
  @ApiProperty()
  readonly cameAt!: Date;

  @ApiProperty({ type: Date, nullable: true, description: 'null: it is open.' })
  readonly wentAt!: Date | null;

  @ApiProperty({ type: String, nullable: true, description: 'What ended it, as `connection_lost`.' })
  readonly cause!: string | null;

  @ApiProperty({ type: Number, nullable: true, description: 'The close code.' })
  readonly code!: number | null;

  @ApiProperty()
  readonly address!: string;

  @ApiProperty()
  readonly nodeId!: string;
}

export class ConnectionPageDto extends PageDto {
  @ApiProperty({ type: [ConnectionDto] })
  readonly items!: ConnectionDto[];
}

/** A message that a device or an operator sent. */
export class MessageDto {
  @ApiProperty()
  readonly at!: Date;

  @ApiProperty({ enum: DIRECTIONS, description: '`up`: from the device.' })
  readonly direction!: 'up' | 'down';

  @ApiProperty({ type: String, nullable: true, description: 'null: it was no event.' })
  readonly event!: string | null;

  @ApiProperty(anyJson('What it said; `...` stands for what is left out.'))
  readonly body!: unknown;
}

export class MessagePageDto extends PageDto {
  @ApiProperty({ type: [MessageDto] })
  readonly items!: MessageDto[];
}

/** Which messages. */
export class MessageQueryDto extends PageQuery {
  @ApiPropertyOptional({ enum: DIRECTIONS })
  @IsOptional()
  @IsIn(DIRECTIONS)
  readonly direction?: 'up' | 'down';

  @ApiPropertyOptional({ description: 'The name of an event.' })
  @IsOptional()
  @IsString()
  @MaxLength(256)
  readonly event?: string;
}
