import { type DynamicModule, Logger, Module } from '@nestjs/common';
import { FedecksModule } from '@fedecks/nest';
import { natsBackplane } from '@fedecks/nest/nats';
import { AccessModule } from './access/access.module.js';
import { ApiModule } from './api/api.module.js';
import { type Config } from './config.js';
import { DatabaseModule } from './database/database.module.js';
import { DeviceLog } from './devices/device-log.js';
import { DeviceLogin } from './devices/device-login.js';
import { MAX_LOGIN_MS } from './devices/login-queue.js';
import { EnrolmentModule } from './enrolment/enrolment.module.js';
import { LiveGateway } from './live/live.gateway.js';
import { NodeRates } from './live/rates.js';
import { CloudMetrics } from './operations/cloud-metrics.js';
import { OperationsModule } from './operations/operations.module.js';
import { RecordingModule } from './recording/recording.module.js';
import { DatabaseDeliveryStore } from './stores/database-delivery-store.js';
import { DatabaseRevocations } from './stores/database-revocations.js';
import { StoresModule } from './stores/stores.module.js';

/** A cloud for devices: they connect at `/fedecks/websocket`, operators at `/api/v1` and `/live`. */
@Module({})
export class AppModule {
  static with(config: Config): DynamicModule {
    const { secrets, loginsFile, natsServers, trustedProxies, database } = config;
    const metrics = new CloudMetrics();
    const hasBackplane = natsServers.length > 0;
    const isShared = database.url !== undefined;
    if (hasBackplane && !isShared) {
      new Logger('Database').warn(
        'NATS_URL links several nodes, and each has an embedded database of its own: operators see only what this node ' +
          'has recorded. Set DATABASE_URL to the Postgres server of all nodes.',
      );
    }
    return {
      module: AppModule,
      imports: [
        // The first, so that it ends last.
        DatabaseModule.with(database),
        AccessModule,
        FedecksModule.forRoot({
          secrets,
          authenticator: DeviceLogin,
          upgradeTimeoutMs: MAX_LOGIN_MS,
          trustedProxies,
          metrics,
          // The database of one node is none for the others: the backplane keeps what all need.
          ...((!hasBackplane || isShared) && { deliveryStore: DatabaseDeliveryStore }),
          // The backplane keeps revocations where there is one.
          ...(hasBackplane
            ? { backplane: natsBackplane({ servers: natsServers }) }
            : { revocations: DatabaseRevocations }),
        }),
        EnrolmentModule.with(loginsFile),
        StoresModule.with(!hasBackplane, database.directory),
        OperationsModule.with(config, metrics),
        ApiModule,
        RecordingModule.with(database),
      ],
      providers: [DeviceLog, LiveGateway, NodeRates],
    };
  }
}
