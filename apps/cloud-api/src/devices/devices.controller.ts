import {
  BadGatewayException,
  BadRequestException,
  Body,
  ConflictException,
  Controller,
  GatewayTimeoutException,
  Get,
  HttpCode,
  NotImplementedException,
  Param,
  Post,
  ServiceUnavailableException,
  UseGuards,
  ValidationPipe,
} from '@nestjs/common';
import {
  BackplaneError,
  ConnectionLostError,
  DeviceOfflineError,
  Fedecks,
  NotSupportedError,
  type PushResult,
  RequestFailedError,
  RequestTimeoutError,
} from '@fedecks/nest';
import { type Term, TermEncodeError } from '@fedecks/nest/wire';
import { ApiKeyGuard } from '../api-key/api-key.guard.js';
import { type Json, toJson } from '../live/term-json.js';
import { RateLimitGuard } from '../operations/rate-limit.guard.js';
import { RequestDto } from './request.dto.js';
import { WithoutPayload } from './without-payload.pipe.js';

/** What operators do with devices over HTTP. All of it needs the API key. */
@Controller('devices')
@UseGuards(RateLimitGuard, ApiKeyGuard)
export class DevicesController {
  constructor(private readonly fedecks: Fedecks) {}

  /** The devices connected to this node: id, endpoint, address, claims and since when. */
  @Get()
  connected(): object[] {
    return this.fedecks.devices().map(({ id, endpoint, remoteAddress, claims, since }) => {
      return { id, endpoint, remoteAddress, claims, since: new Date(since) };
    });
  }

  /**
   * Pushes the body, a JSON object or array, to a device: 200 and `{ "result": "sent" }` when it was written to the
   * device's socket, 409 and `{ "result": "offline" }` when the device is not connected, to this or another node, and
   * 503 when that cannot be known.
   */
  @Post(':id/messages')
  @HttpCode(200)
  async push(@Param('id') id: string, @Body() message?: Term): Promise<{ result: PushResult }> {
    if (message === undefined) {
      throw new BadRequestException('Send the message as JSON, with content-type: application/json.');
    }
    const result = await this.fedecks.push(id, message).catch((error: unknown) => {
      // JSON can say 1e400, which is Infinity in JavaScript and nothing at all on the wire.
      if (error instanceof TermEncodeError) throw new BadRequestException(error.message);
      if (error instanceof BackplaneError) throw new ServiceUnavailableException(error.message);
      throw error;
    });
    if (result === 'offline') throw new ConflictException({ result });
    return { result };
  }

  /**
   * Asks a device, on whichever node: 200 and `{ "answer": ... }`. Otherwise `{ "code": ..., "text": ... }` with 409
   * `offline`, 501 `not_supported`, 502 with the code of the device's error, 504 `timeout` or `connection_lost`. After
   * 504 and 503 nobody knows whether the device has handled it.
   */
  @Post(':id/requests')
  @HttpCode(200)
  async request(
    @Param('id') id: string,
    @Body(WithoutPayload, ValidationPipe) { event, timeoutMs }: RequestDto,
    @Body('payload') payload: Term = null,
  ): Promise<{ answer: Json }> {
    const options = typeof timeoutMs === 'number' ? { timeoutMs } : {};
    try {
      return { answer: toJson(await this.fedecks.request(id, event, payload, options)) };
    } catch (error) {
      throw httpErrorOf(error);
    }
  }
}

function httpErrorOf(error: unknown): unknown {
  if (error instanceof TermEncodeError) return new BadRequestException(error.message);
  if (error instanceof BackplaneError) return new ServiceUnavailableException(error.message);
  if (error instanceof RequestFailedError)
    return new BadGatewayException({ code: error.code, text: error.text });
  if (error instanceof DeviceOfflineError) return new ConflictException(outcomeOf(error));
  if (error instanceof NotSupportedError) return new NotImplementedException(outcomeOf(error));
  const isUnknown = error instanceof RequestTimeoutError || error instanceof ConnectionLostError;
  return isUnknown ? new GatewayTimeoutException(outcomeOf(error)) : error;
}

function outcomeOf({ code, message }: { readonly code: string; readonly message: string }): object {
  return { code, text: message };
}
