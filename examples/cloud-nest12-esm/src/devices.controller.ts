import { Body, Controller, HttpCode, NotFoundException, Param, Post } from '@nestjs/common';
import { Fedecks } from '@fedecks/nest';
import { IsBoolean } from 'class-validator';

class FanCommand {
  @IsBoolean()
  on!: boolean;
}

/** What operators send. It asks nobody who they are: put a guard here before you listen on more than 127.0.0.1. */
@Controller('devices')
export class DevicesController {
  constructor(private readonly fedecks: Fedecks) {}

  @Post(':id/fan')
  @HttpCode(202)
  async fan(@Param('id') id: string, @Body() { on }: FanCommand): Promise<void> {
    const result = await this.fedecks.push(id, { event: 'fan', data: { on } });
    if (result === 'offline') throw new NotFoundException(`${id} is not connected`);
  }
}
