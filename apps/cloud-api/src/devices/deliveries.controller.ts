import {
  BadRequestException,
  Body,
  ConflictException,
  Controller,
  Delete,
  Get,
  HttpCode,
  NotFoundException,
  Param,
  PayloadTooLargeException,
  Post,
  Res,
  ServiceUnavailableException,
  UseGuards,
  ValidationPipe,
} from '@nestjs/common';
import { type DeviceDelivery, DeliveryQueueFullError, Fedecks, MessageTooLargeError } from '@fedecks/nest';
import { type Term, TermEncodeError } from '@fedecks/nest/wire';
import { ApiKeyGuard } from '../api-key/api-key.guard.js';
import { type Json, toJson } from '../live/term-json.js';
import { RateLimitGuard } from '../operations/rate-limit.guard.js';
import { DeliveryDto } from './delivery.dto.js';
import { WithoutPayload } from './without-payload.pipe.js';

/** A delivery as operators see it. What is undefined is left out. */
type ShownDelivery = Omit<DeviceDelivery, 'final' | 'result'> & { readonly result: Json | undefined };

/** Messages that are kept for devices until these have handled them. All of it needs the API key. */
@Controller()
@UseGuards(RateLimitGuard, ApiKeyGuard)
export class DeliveriesController {
  constructor(private readonly fedecks: Fedecks) {}

  /**
   * Keeps a message for a device, connected or not: 202 when it is kept, with the delivery, and its address as `location`.
   * Otherwise 400 for bad input, 409 when too much waits for the device, 413 for more than 256 KiB, and 503 when the store
   * fails: then nobody knows whether it is kept.
   */
  @Post('devices/:id/deliveries')
  @HttpCode(202)
  async deliver(
    @Param('id') id: string,
    @Body(WithoutPayload, ValidationPipe) { event, ttlMs, key, lane, ...unknown }: DeliveryDto,
    @Res({ passthrough: true }) response: { location(url: string): void },
    @Body('payload') payload: Term = null,
  ): Promise<ShownDelivery> {
    // A misspelt option would be a message that is kept for too long, or twice.
    const [name] = Object.keys(unknown);
    if (name !== undefined) throw new BadRequestException(`There is no field ${JSON.stringify(name)}.`);
    const options = {
      ...(isGiven(ttlMs) && { ttlMs }),
      ...(isGiven(key) && { key }),
      ...(isGiven(lane) && { lane }),
    };
    const delivery = await this.fedecks.deliver(id, event, payload, options).catch(fail);
    response.location(`/deliveries/${encodeURIComponent(delivery.id)}`);
    return shown(delivery);
  }

  /** What is known of a device: the final ones, oldest first, and then those that wait. */
  @Get('devices/:id/deliveries')
  async ofDevice(@Param('id') id: string): Promise<ShownDelivery[]> {
    const deliveries = await this.fedecks.deliveries.of(id).catch(fail);
    return deliveries.map(shown);
  }

  /** A delivery by its id, percent-encoded. 404 when nothing is known of it, or not any more. */
  @Get('deliveries/:id')
  async get(@Param('id') id: string): Promise<ShownDelivery> {
    return shownIfKnown(id, await this.fedecks.deliveries.get(id).catch(fail));
  }

  /**
   * Cancels a delivery: 200 with the delivery afterwards. One that was sent is not sent again, but the device may have
   * handled it; one that is final stays what it is.
   */
  @Delete('deliveries/:id')
  async cancel(@Param('id') id: string): Promise<ShownDelivery> {
    return shownIfKnown(id, await this.fedecks.deliveries.cancel(id).catch(fail));
  }
}

function isGiven<T>(value: T | null | undefined): value is T {
  return value !== undefined && value !== null;
}

function shownIfKnown(id: string, delivery: DeviceDelivery | undefined): ShownDelivery {
  if (!delivery) throw new NotFoundException(`Nothing is known of delivery ${JSON.stringify(id)}.`);
  return shown(delivery);
}

function shown(delivery: DeviceDelivery): ShownDelivery {
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

function fail(error: unknown): never {
  if (error instanceof TermEncodeError) throw new BadRequestException(error.message);
  if (error instanceof MessageTooLargeError) throw new PayloadTooLargeException(error.message);
  if (error instanceof DeliveryQueueFullError)
    throw new ConflictException({ code: error.code, text: error.message });
  // The store has failed: NATS is not reachable, or the memory of this process is full.
  const reason = error instanceof Error ? error.message : String(error);
  throw new ServiceUnavailableException(reason, { cause: error });
}
