import {
  BadRequestException,
  Body,
  ConflictException,
  Controller,
  Get,
  HttpCode,
  Param,
  Post,
  ServiceUnavailableException,
  UseGuards,
} from '@nestjs/common';
import { BackplaneError, Fedecks, type PushResult } from '@fedecks/nest';
import { type Term, TermEncodeError } from '@fedecks/nest/wire';
import { ApiKeyGuard } from '../api-key/api-key.guard.js';

/** What operators do with devices over HTTP. All of it needs the API key. */
@Controller('devices')
@UseGuards(ApiKeyGuard)
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
}
