import { BadRequestException, Body, ConflictException, HttpCode, Post, Query } from '@nestjs/common';
import {
  ApiBody,
  ApiConflictResponse,
  ApiOkResponse,
  ApiOperation,
  ApiPayloadTooLargeResponse,
  ApiResponse,
} from '@nestjs/swagger';
import { type PushResult } from '@fedecks/nest';
import { type Term } from '@fedecks/nest/wire';
import { Audited } from '../../access/audited.decorator.js';
import { Requires } from '../../access/requires.decorator.js';
import { V1Controller } from '../../access/v1-controller.decorator.js';
import { Validated } from '../../http/validated.pipe.js';
import { type Json, toJson } from '../../live/term-json.js';
import { DeviceIdParam } from '../../http/device-id.js';
import { BroadcastDto, BroadcastResultDto, PushResultDto } from './broadcast.dto.js';
import { DeviceMessenger } from './device-messenger.js';
import { AnswerDto, RequestDto } from './request.dto.js';
import { termIn, TermsQuery } from './terms-query.js';
import { Without } from './without.pipe.js';

/** What operators send to devices that are connected. */
@V1Controller('')
export class MessagesController {
  constructor(private readonly messenger: DeviceMessenger) {}

  /**
   * Pushes the body, a JSON object or array, to a device: 200 and `{ "result": "sent" }` when it was written to the
   * device's socket, 409 and `{ "result": "offline" }` when the device is not connected, to this or another node, and
   * 503 when that cannot be known.
   */
  @Post('devices/:id/messages')
  @Requires('operator')
  @Audited({ action: 'device.push', target: 'id', fields: ['event'] })
  @HttpCode(200)
  @ApiOperation({ summary: 'Push a message to a device that is connected' })
  @ApiBody({ schema: { oneOf: [{ type: 'object' }, { type: 'array', items: {} }] } })
  @ApiOkResponse({ type: PushResultDto, description: "Written to the device's socket." })
  @ApiConflictResponse({ type: PushResultDto, description: 'The device is not connected.' })
  @ApiPayloadTooLargeResponse({ description: 'The message is too large: nothing was sent.' })
  async push(
    @DeviceIdParam() id: string,
    @Query(Validated) terms: TermsQuery,
    @Body() message?: Term,
  ): Promise<{ result: PushResult }> {
    const result = await this.messenger.push(id, termIn(given(message), terms));
    if (result === 'offline') throw new ConflictException({ result });
    return { result };
  }

  /**
   * Asks a device, on whichever node: 200 and `{ "answer": ... }`. Otherwise `{ "code": ..., "text": ... }` with 409
   * `offline`, 501 `not_supported`, 502 with the code of the device's error, 504 `timeout` or `connection_lost`. After
   * 504 and 503 nobody knows whether the device has handled it.
   */
  @Post('devices/:id/requests')
  @Requires('operator')
  @Audited({ action: 'device.request', target: 'id', fields: ['event'] })
  @HttpCode(200)
  @ApiOperation({ summary: 'Ask a device, and wait for its answer' })
  @ApiBody({ type: RequestDto })
  @ApiOkResponse({ type: AnswerDto })
  @ApiConflictResponse({ description: 'The device is not connected: nothing was sent.' })
  @ApiResponse({ status: 501, description: 'The device speaks protocol 1: nothing was sent.' })
  @ApiResponse({ status: 502, description: 'The device has no result: `code` and `text` say why.' })
  @ApiResponse({ status: 504, description: 'No answer: nobody knows whether the device has handled it.' })
  async request(
    @DeviceIdParam() id: string,
    @Query(Validated) terms: TermsQuery,
    @Body(new Without('payload'), Validated) { event, timeoutMs }: RequestDto,
    @Body('payload') payload: Term = null,
  ): Promise<{ answer: Json }> {
    const answer = await this.messenger.request(id, event, termIn(payload, terms), timeoutMs ?? undefined);
    return { answer: toJson(answer) };
  }

  /** Pushes a message to all devices with all of these tags. Those that are not connected do not get it. */
  @Post('broadcast')
  @Requires('operator')
  @Audited({ action: 'fleet.broadcast', fields: ['tags'] })
  @HttpCode(200)
  @ApiOperation({
    summary: 'Push a message to all devices with all of these tags',
    description: 'Those that are not connected do not get it: for them, deliver with a bulk action.',
  })
  @ApiBody({ type: BroadcastDto })
  @ApiOkResponse({ type: BroadcastResultDto })
  async broadcast(
    @Body(new Without('message'), Validated) { tags }: BroadcastDto,
    @Body('message') message?: Term,
  ): Promise<BroadcastResultDto> {
    if (message === undefined) throw new BadRequestException(['message must be given: any JSON']);
    return this.messenger.broadcast(tags, message);
  }
}

function given(message: Term | undefined): Term {
  if (message !== undefined) return message;
  throw new BadRequestException([
    'message must be the body, a JSON object or array, with content-type: application/json',
  ]);
}
