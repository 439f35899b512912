import { Injectable } from '@nestjs/common';
import { Fedecks } from '@fedecks/nest';
import { Gauge } from 'prom-client';
import { BatchWriter } from '../recording/batch-writer.js';
import { CloudMetrics } from './cloud-metrics.js';
import { DeviceWatch } from './device-watch.js';

/** Gauges that are read when Prometheus asks. */
@Injectable()
export class FleetGauges {
  constructor({ registry }: CloudMetrics, fedecks: Fedecks, watch: DeviceWatch, writer: BatchWriter) {
    const gauge = (name: string, help: string, value: () => number): void => {
      new Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          this.set(value());
        },
      });
    };
    gauge('cloud_devices_connected', 'Devices connected to this node.', () => fedecks.devices().length);
    gauge(
      'cloud_devices_offline',
      'Devices that left this node, and have been away for longer than OFFLINE_GRACE_MS.',
      () => watch.offlineCount,
    );
    gauge('cloud_backplane_up', '1 while the other nodes can be reached, or there are none; else 0.', () =>
      fedecks.health().status === 'up' ? 1 : 0,
    );
    gauge('cloud_database_queued_rows', 'Rows about devices that wait to be written.', () => writer.waiting);
  }
}
