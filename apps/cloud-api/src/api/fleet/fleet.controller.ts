import { Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation } from '@nestjs/swagger';
import { Requires } from '../../access/requires.decorator.js';
import { V1Controller } from '../../access/v1-controller.decorator.js';
import { NodesDto, OverviewDto } from './fleet.dto.js';
import { Fleet } from './fleet.js';

/** The fleet at a glance. */
@V1Controller('')
export class FleetController {
  constructor(private readonly fleet: Fleet) {}

  @Get('overview')
  @Requires('viewer')
  @ApiOperation({ summary: 'Devices by state, nodes, the last hour, and which devices flap' })
  @ApiOkResponse({ type: OverviewDto })
  overview(): Promise<OverviewDto> {
    return this.fleet.overview();
  }

  @Get('nodes')
  @Requires('viewer')
  @ApiOperation({ summary: 'The processes that serve the fleet, the newest first' })
  @ApiOkResponse({ type: NodesDto })
  async nodes(): Promise<NodesDto> {
    return { items: await this.fleet.nodes() };
  }
}
