import { Body, Delete, Get, HttpCode, Patch, Post, Query } from '@nestjs/common';
import {
  ApiConflictResponse,
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiNotFoundResponse,
  ApiOkResponse,
  ApiOperation,
} from '@nestjs/swagger';
import { Audited } from '../../access/audited.decorator.js';
import { Requires } from '../../access/requires.decorator.js';
import { V1Controller } from '../../access/v1-controller.decorator.js';
import { Validated } from '../../http/validated.pipe.js';
import { DeviceIdParam } from '../../http/device-id.js';
import { DeviceList, type DevicePage } from './device-list.js';
import { DeviceQueryDto } from './device-query.dto.js';
import { DeviceRecords } from './device-records.js';
import { AddDeviceDto, ChangeDeviceDto, DeviceDetailDto, DevicePageDto } from './device.dto.js';

/** The devices that were ever seen, or were added. */
@V1Controller('devices')
export class DevicesController {
  constructor(
    private readonly devices: DeviceList,
    private readonly records: DeviceRecords,
  ) {}

  @Get()
  @Requires('viewer')
  @ApiOperation({ summary: 'Find devices' })
  @ApiOkResponse({ type: DevicePageDto })
  list(@Query(Validated) query: DeviceQueryDto): Promise<DevicePage> {
    return this.devices.page(query);
  }

  @Post()
  @Requires('operator')
  @Audited({ action: 'device.add', fields: ['id', 'name', 'tags'] })
  @ApiOperation({ summary: 'Add a device before it connects' })
  @ApiCreatedResponse({ type: DeviceDetailDto })
  @ApiConflictResponse({ description: 'There is a device with this id.' })
  add(@Body(Validated) device: AddDeviceDto): Promise<DeviceDetailDto> {
    return this.records.add(device);
  }

  @Get(':id')
  @Requires('viewer')
  @ApiOperation({ summary: 'A device, with what it reported of itself' })
  @ApiOkResponse({ type: DeviceDetailDto })
  @ApiNotFoundResponse({ description: 'There is no such device.' })
  one(@DeviceIdParam() id: string): Promise<DeviceDetailDto> {
    return this.records.one(id);
  }

  @Patch(':id')
  @Requires('operator')
  @Audited({ action: 'device.change', target: 'id', fields: ['name', 'tags'] })
  @ApiOperation({ summary: 'Change the name, the tags or the notes of a device' })
  @ApiOkResponse({ type: DeviceDetailDto })
  @ApiNotFoundResponse({ description: 'There is no such device.' })
  change(@DeviceIdParam() id: string, @Body(Validated) change: ChangeDeviceDto): Promise<DeviceDetailDto> {
    return this.records.change(id, change);
  }

  @Delete(':id')
  @Requires('admin')
  @Audited({ action: 'device.delete', target: 'id' })
  @HttpCode(204)
  @ApiOperation({ summary: 'Revoke the tokens of a device, and delete everything of it' })
  @ApiNoContentResponse()
  @ApiNotFoundResponse({ description: 'There is no such device.' })
  delete(@DeviceIdParam() id: string): Promise<void> {
    return this.records.delete(id);
  }
}
