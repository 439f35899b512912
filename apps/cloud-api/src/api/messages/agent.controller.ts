import { Get, HttpCode, Post, Query } from '@nestjs/common';
import {
  ApiConflictResponse,
  ApiOkResponse,
  ApiOperation,
  ApiProperty,
  ApiPropertyOptional,
  ApiResponse,
} from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsInt, IsOptional, Max, Min } from 'class-validator';
import { Audited } from '../../access/audited.decorator.js';
import { Requires } from '../../access/requires.decorator.js';
import { V1Controller } from '../../access/v1-controller.decorator.js';
import { Validated } from '../../http/validated.pipe.js';
import { DeviceIdParam } from '../../http/device-id.js';
import { DeviceMessenger } from './device-messenger.js';

export class LogQueryDto {
  @ApiPropertyOptional({
    minimum: 1,
    maximum: 500,
    default: 50,
    description: 'How many of the newest lines.',
  })
  @IsOptional()
  @Type(() => Number)
  @IsInt()
  @Min(1)
  @Max(500)
  readonly lines: number = 50;
}

export class LogDto {
  @ApiProperty({ type: [String], description: 'The oldest first.' })
  readonly lines!: string[];
}

/** What the agent of a device does when it is asked. */
@V1Controller('devices')
export class AgentController {
  constructor(private readonly messenger: DeviceMessenger) {}

  @Get(':id/log')
  @Requires('viewer')
  @ApiOperation({ summary: 'The newest lines of the log of an agent that is connected' })
  @ApiOkResponse({ type: LogDto })
  @ApiConflictResponse({ description: 'The device is not connected.' })
  @ApiResponse({ status: 501, description: 'The device speaks protocol 1.' })
  @ApiResponse({ status: 502, description: 'The device has no result: `code` and `text` say why.' })
  @ApiResponse({ status: 504, description: 'No answer.' })
  async log(@DeviceIdParam() id: string, @Query(Validated) { lines }: LogQueryDto): Promise<LogDto> {
    return { lines: await this.messenger.log(id, lines) };
  }

  /** The agent answers, and then ends: whatever has started it starts it again. */
  @Post(':id/restart')
  @Requires('operator')
  @Audited({ action: 'device.restart', target: 'id' })
  @HttpCode(204)
  @ApiOperation({ summary: 'Restart the agent of a device that is connected' })
  @ApiResponse({ status: 204, description: 'It restarts now.' })
  @ApiConflictResponse({ description: 'The device is not connected.' })
  @ApiResponse({ status: 501, description: 'The device speaks protocol 1.' })
  @ApiResponse({ status: 502, description: 'The agent does not restart: `code` and `text` say why.' })
  @ApiResponse({ status: 504, description: 'No answer: nobody knows whether it restarts.' })
  async restart(@DeviceIdParam() id: string): Promise<void> {
    await this.messenger.request(id, 'restart', null);
  }
}
