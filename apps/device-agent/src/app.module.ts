import { type DynamicModule, Module } from '@nestjs/common';
import { FedecksClient, FedecksClientModule } from '@fedecks/nest/client-nest';
import { Commands } from './commands/commands.js';
import { type Config, readSystemdSettings } from './config.js';
import { ConnectionLog } from './connection/connection-log.js';
import { FirstLogin, LoginFile } from './connection/first-login.js';
import { Systemd } from './service/systemd.js';
import { TelemetryFeed } from './telemetry/telemetry.js';

/** A device: keeps its connection to the cloud, tells how it fares, and does what it is asked to. */
@Module({})
export class AppModule {
  static with({
    url,
    deviceId,
    stateDir,
    loginFile,
    telemetryIntervalMs,
    startDelayMs,
  }: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [
        FedecksClientModule.forRoot({
          url,
          deviceId,
          tokenStore: stateDir,
          ...(startDelayMs !== undefined && { startDelayMs }),
        }),
      ],
      providers: [
        { provide: LoginFile, useValue: new LoginFile(loginFile) },
        { provide: TelemetryFeed, useFactory: () => new TelemetryFeed(telemetryIntervalMs) },
        {
          provide: Systemd,
          inject: [FedecksClient],
          useFactory: (client: FedecksClient) => new Systemd(client, readSystemdSettings()),
        },
        ConnectionLog,
        FirstLogin,
        Commands,
      ],
    };
  }
}
