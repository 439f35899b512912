import {
  Body,
  ConflictException,
  HttpCode,
  NotFoundException,
  Post,
  Put,
  ServiceUnavailableException,
} from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { BackplaneError, Fedecks } from '@fedecks/nest';
import { Audited } from '../access/audited.decorator.js';
import { Requires } from '../access/requires.decorator.js';
import { V1Controller } from '../access/v1-controller.decorator.js';
import { Validated } from '../http/validated.pipe.js';
import { LoginsFile } from '../devices/logins-file.js';
import { DeviceAccounts } from './device-accounts.js';
import { DeviceBlocks } from './device-blocks.js';
import { DeviceIdParam } from '../http/device-id.js';
import { DevicePasswordDto } from './device-password.dto.js';

/** Who may connect, and who may not any more. */
@ApiTags('devices')
@V1Controller('devices')
export class DeviceAccessController {
  constructor(
    private readonly accounts: DeviceAccounts,
    private readonly blocks: DeviceBlocks,
    private readonly logins: LoginsFile,
    private readonly fedecks: Fedecks,
  ) {}

  @Put(':id/password')
  @Requires('operator')
  @Audited({ action: 'device.password', target: 'id' })
  @ApiOperation({ summary: 'Set the password of a device, which adds the device; or remove it.' })
  async setPassword(
    @DeviceIdParam() id: string,
    @Body(Validated) { password }: DevicePasswordDto,
  ): Promise<{ readonly id: string; readonly hasPassword: boolean }> {
    if (password === null) {
      if (!(await this.accounts.removePassword(id)))
        throw new NotFoundException('The device does not exist: check its id.');
      return { id, hasPassword: false };
    }
    if (await this.logins.find(id)) {
      throw new ConflictException(
        'DEVICE_LOGINS_FILE has a login of this name, which comes first: remove it there.',
      );
    }
    await this.accounts.setPassword(id, password);
    return { id, hasPassword: true };
  }

  @Post(':id/block')
  @HttpCode(200)
  @Requires('operator')
  @Audited({ action: 'device.block', target: 'id' })
  @ApiOperation({ summary: 'Refuse a device at every login, revoke its tokens, and disconnect it.' })
  async block(@DeviceIdParam() id: string): Promise<{ readonly id: string; readonly blocked: boolean }> {
    await this.blocks.block(id);
    return { id, blocked: true };
  }

  @Post(':id/unblock')
  @HttpCode(200)
  @Requires('operator')
  @Audited({ action: 'device.unblock', target: 'id' })
  @ApiOperation({ summary: 'Let a device log in again. Its old tokens stay revoked.' })
  async unblock(@DeviceIdParam() id: string): Promise<{ readonly id: string; readonly blocked: boolean }> {
    await this.blocks.unblock(id);
    return { id, blocked: false };
  }

  @Post(':id/revoke')
  @HttpCode(200)
  @Requires('operator')
  @Audited({ action: 'device.revoke', target: 'id' })
  @ApiOperation({ summary: 'Revoke the tokens of a device, and disconnect it: it has to log in again.' })
  async revoke(@DeviceIdParam() id: string): Promise<{ readonly result: 'revoked' }> {
    await this.blocks.revoke(id);
    return { result: 'revoked' };
  }

  @Post(':id/disconnect')
  @HttpCode(200)
  @Requires('operator')
  @Audited({ action: 'device.disconnect', target: 'id' })
  @ApiOperation({ summary: 'Disconnect a device, which connects again: 409 if it is offline.' })
  async disconnect(@DeviceIdParam() id: string): Promise<{ readonly result: 'disconnected' }> {
    const wasOnline = await this.fedecks.disconnect(id).catch((error: unknown) => {
      throw error instanceof BackplaneError ? new ServiceUnavailableException(error.message) : error;
    });
    if (!wasOnline) throw new ConflictException({ result: 'offline' });
    return { result: 'disconnected' };
  }
}
