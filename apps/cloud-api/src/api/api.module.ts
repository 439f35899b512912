import { Module } from '@nestjs/common';
import { BulkActions } from './bulk/bulk-actions.js';
import { BulkController } from './bulk/bulk.controller.js';
import { DeviceList } from './devices/device-list.js';
import { DeviceRecords } from './devices/device-records.js';
import { DeviceSelection } from './devices/device-selection.js';
import { DevicesController } from './devices/devices.controller.js';
import { ExportLimits } from './export/export-limits.js';
import { ExportPages } from './export/export-pages.js';
import { ExportController } from './export/export.controller.js';
import { Fleet } from './fleet/fleet.js';
import { FleetController } from './fleet/fleet.controller.js';
import { History } from './history/history.js';
import { HistoryController } from './history/history.controller.js';
import { Readings } from './history/readings.js';
import { AgentController } from './messages/agent.controller.js';
import { Deliveries } from './messages/deliveries.js';
import { DeliveriesController } from './messages/deliveries.controller.js';
import { DeviceMessenger } from './messages/device-messenger.js';
import { MessagesController } from './messages/messages.controller.js';
import { OpenApiController } from './openapi.controller.js';
import { OpenApi } from './openapi.js';

/** The HTTP API about devices. */
@Module({
  controllers: [
    DevicesController,
    HistoryController,
    MessagesController,
    DeliveriesController,
    AgentController,
    BulkController,
    FleetController,
    ExportController,
    OpenApiController,
  ],
  providers: [
    DeviceList,
    DeviceRecords,
    DeviceSelection,
    History,
    Readings,
    DeviceMessenger,
    Deliveries,
    BulkActions,
    Fleet,
    ExportLimits,
    ExportPages,
    OpenApi,
  ],
  exports: [DeviceRecords],
})
export class ApiModule {}
