import { type DynamicModule, Module } from '@nestjs/common';
import { FedecksModule } from '@fedecks/nest';
import { natsBackplane } from '@fedecks/nest/nats';
import { ApiKey } from './api-key/api-key.js';
import { type Config } from './config.js';
import { DeliveriesController } from './devices/deliveries.controller.js';
import { DeviceLog } from './devices/device-log.js';
import { DeviceLogin } from './devices/device-login.js';
import { DevicesController } from './devices/devices.controller.js';
import { MAX_LOGIN_MS } from './devices/login-queue.js';
import { LoginsFile } from './devices/logins-file.js';
import { LiveGateway } from './live/live.gateway.js';

/** A cloud for devices: they connect at `/fedecks/websocket`, operators at `/devices` and `/live`. */
@Module({})
export class AppModule {
  static with({ secrets, apiKey, loginsFile, natsServers, trustedProxies }: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [
        FedecksModule.forRoot({
          secrets,
          authenticator: DeviceLogin,
          upgradeTimeoutMs: MAX_LOGIN_MS,
          trustedProxies,
          ...(natsServers.length > 0 && { backplane: natsBackplane({ servers: natsServers }) }),
        }),
      ],
      controllers: [DevicesController, DeliveriesController],
      providers: [
        { provide: ApiKey, useValue: new ApiKey(apiKey) },
        { provide: LoginsFile, useValue: new LoginsFile(loginsFile) },
        DeviceLogin,
        DeviceLog,
        LiveGateway,
      ],
    };
  }
}
