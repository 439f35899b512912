import { Body, Delete, Get, HttpCode, NotFoundException, Param, Post, Put, Res, Query } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBody,
  ApiConflictResponse,
  ApiNotFoundResponse,
  ApiOkResponse,
  ApiOperation,
  ApiPayloadTooLargeResponse,
} from '@nestjs/swagger';
import { type DeviceDelivery } from '@fedecks/nest';
import { type Term } from '@fedecks/nest/wire';
import { Audited } from '../../access/audited.decorator.js';
import { Requires } from '../../access/requires.decorator.js';
import { V1Controller } from '../../access/v1-controller.decorator.js';
import { Validated } from '../../http/validated.pipe.js';
import { DeviceIdParam } from '../../http/device-id.js';
import { Deliveries } from './deliveries.js';
import { DeliveryDto, keepOptionsOf, ShownDeliveryDto, shownDelivery } from './delivery.dto.js';
import { checkedSettings } from './settings.js';
import { termIn, TermsQuery } from './terms-query.js';
import { Without } from './without.pipe.js';

interface Locating {
  location(url: string): void;
}

/** Messages that are kept for devices until these have handled them. */
@V1Controller('')
export class DeliveriesController {
  constructor(private readonly deliveries: Deliveries) {}

  /**
   * Keeps a message for a device, connected or not: 202 when it is kept, with the delivery, and its address as `location`.
   * Otherwise 400 for bad input, 409 when too much waits for the device, 413 for more than 256 KiB, and 503 when the store
   * fails: then nobody knows whether it is kept.
   */
  @Post('devices/:id/deliveries')
  @Requires('operator')
  @Audited({ action: 'device.deliver', target: 'id', fields: ['event', 'key'] })
  @HttpCode(202)
  @ApiOperation({ summary: 'Keep a message for a device until the device has handled it' })
  @ApiAcceptedResponse({ type: ShownDeliveryDto, description: 'Kept; its path is in `location`.' })
  @ApiConflictResponse({ description: 'Too much waits for the device: nothing was kept.' })
  @ApiPayloadTooLargeResponse({ description: 'The message has more than 256 KiB: nothing was kept.' })
  @ApiBody({ type: DeliveryDto })
  async deliver(
    @DeviceIdParam() id: string,
    @Query(Validated) terms: TermsQuery,
    @Body(new Without('payload'), Validated) body: DeliveryDto,
    @Res({ passthrough: true }) response: Locating,
    @Body('payload') payload: Term = null,
  ): Promise<ShownDeliveryDto> {
    return accepted(
      response,
      await this.deliveries.put(id, body.event, termIn(payload, terms), keepOptionsOf(body)),
    );
  }

  /** Kept until the agent has them; what the change does not name stays. */
  @Put('devices/:id/settings')
  @Requires('operator')
  @Audited({ action: 'device.settings', target: 'id', fields: ['telemetryIntervalMs', 'logLevel'] })
  @HttpCode(202)
  @ApiOperation({
    summary: 'Change settings of an agent, now or when it is back',
    description:
      'What is not named stays; null sets the default. The delivery is done when they are in force.',
  })
  @ApiAcceptedResponse({ type: ShownDeliveryDto, description: 'Kept; its path is in `location`.' })
  @ApiConflictResponse({ description: 'Too much waits for the device: nothing was kept.' })
  @ApiBody({
    schema: {
      type: 'object',
      minProperties: 1,
      additionalProperties: true,
      example: { telemetryIntervalMs: 600_000 },
    },
  })
  async changeSettings(
    @DeviceIdParam() id: string,
    @Body() body: unknown,
    @Res({ passthrough: true }) response: Locating,
  ): Promise<ShownDeliveryDto> {
    return accepted(response, await this.deliveries.put(id, 'settings', checkedSettings(body)));
  }

  /** What is known of a device: the final ones, oldest first, and then those that wait. */
  @Get('devices/:id/deliveries')
  @Requires('viewer')
  @ApiOperation({ summary: 'The deliveries of a device: the final ones, then those that wait' })
  @ApiOkResponse({ type: [ShownDeliveryDto] })
  async ofDevice(@DeviceIdParam() id: string): Promise<ShownDeliveryDto[]> {
    return (await this.deliveries.of(id)).map(shownDelivery);
  }

  /** A delivery by its id, percent-encoded. 404 when nothing is known of it, or not any more. */
  @Get('deliveries/:id')
  @Requires('viewer')
  @ApiOperation({ summary: 'A delivery' })
  @ApiOkResponse({ type: ShownDeliveryDto })
  @ApiNotFoundResponse({ description: 'Nothing is known of it, or not any more.' })
  async get(@Param('id') id: string): Promise<ShownDeliveryDto> {
    return shownIfKnown(id, await this.deliveries.get(id));
  }

  /**
   * Cancels a delivery: 200 with the delivery afterwards. One that was sent is not sent again, but the device may have
   * handled it; one that is final stays what it is.
   */
  @Delete('deliveries/:id')
  @Requires('operator')
  @Audited({ action: 'delivery.cancel', target: 'id' })
  @ApiOperation({ summary: 'Cancel a delivery' })
  @ApiOkResponse({ type: ShownDeliveryDto, description: 'The delivery afterwards.' })
  @ApiNotFoundResponse({ description: 'Nothing is known of it, or not any more.' })
  async cancel(@Param('id') id: string): Promise<ShownDeliveryDto> {
    return shownIfKnown(id, await this.deliveries.cancel(id));
  }
}

function accepted(response: Locating, delivery: DeviceDelivery): ShownDeliveryDto {
  response.location(`/api/v1/deliveries/${encodeURIComponent(delivery.id)}`);
  return shownDelivery(delivery);
}

function shownIfKnown(id: string, delivery: DeviceDelivery | undefined): ShownDeliveryDto {
  if (!delivery) throw new NotFoundException(`Nothing is known of delivery ${JSON.stringify(id)}.`);
  return shownDelivery(delivery);
}
