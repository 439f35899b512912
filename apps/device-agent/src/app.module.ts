import { type DynamicModule, Module } from '@nestjs/common';
import { FileTokenStore, proxyFromEnvironment } from '@fedecks/nest/client';
import { FedecksClient, FedecksClientModule } from '@fedecks/nest/client-nest';
import { Commands } from './commands/commands.js';
import { Restart } from './commands/restart.js';
import { type Config, readSystemdSettings } from './config.js';
import { ConnectionLog } from './connection/connection-log.js';
import { FileLogin, UnattendedLogin } from './connection/file-login.js';
import { ControlRoutes } from './control/control-routes.js';
import { ControlServer } from './control/control-server.js';
import { socketPath } from './control/socket-path.js';
import { StatusReport } from './control/status-report.js';
import { ExecCommands } from './exec/exec-commands.js';
import { ExecRunner } from './exec/exec-runner.js';
import { Hello } from './hello.js';
import { LogStreams } from './log/log-streams.js';
import { RecentLog } from './log/recent-log.js';
import { HealthFile } from './service/health-file.js';
import { Systemd } from './service/systemd.js';
import { ThreadWork } from './service/thread-work.js';
import { DeviceSettings } from './settings/device-settings.js';
import { SettingsFile } from './settings/settings-file.js';
import { Collector } from './telemetry/collector.js';
import { outboxSensor, sensors } from './telemetry/sensors.js';
import { TelemetryFeed } from './telemetry/telemetry.js';
import { TelemetryOutbox } from './telemetry/telemetry-outbox.js';

/**
 * A device: keeps its connection to the cloud, sends telemetry, and executes commands of the cloud and of
 * local users.
 */
@Module({})
export class AppModule {
  /**
   * @param log is what `device-agent logs` shows.
   * @param isAtTerminal whether a person runs the agent.
   */
  static with(config: Config, log: RecentLog, isAtTerminal = false): DynamicModule {
    const { urls, deviceId, stateDir, outbox, tls, environment } = config;
    const { startDelayMs, pingIntervalMs, phaseTimeoutMs, upgradeTimeoutMs } = config;
    const tokenStore = new FileTokenStore(stateDir, deviceId);
    return {
      module: AppModule,
      imports: [
        FedecksClientModule.forRoot({
          url: urls,
          deviceId,
          tokenStore,
          proxy: proxyFromEnvironment(environment),
          ...(outbox !== undefined && { outbox }),
          ...(tls !== undefined && { tls }),
          ...(startDelayMs !== undefined && { startDelayMs }),
          ...(pingIntervalMs !== undefined && { pingIntervalMs }),
          ...(phaseTimeoutMs !== undefined && { phaseTimeoutMs }),
          ...(upgradeTimeoutMs !== undefined && { upgradeTimeoutMs }),
        }),
      ],
      providers: [
        { provide: UnattendedLogin, useValue: new UnattendedLogin(config.login) },
        { provide: RecentLog, useValue: log },
        { provide: Restart, useValue: new Restart(isAtTerminal) },
        { provide: ExecCommands, useValue: new ExecCommands(config.exec) },
        { provide: ExecRunner, useFactory: () => new ExecRunner() },
        {
          provide: DeviceSettings,
          useFactory: () =>
            new DeviceSettings(
              { telemetryIntervalMs: config.telemetryIntervalMs, logLevel: 'debug' },
              new SettingsFile(stateDir),
            ),
        },
        {
          provide: StatusReport,
          inject: [FedecksClient, FileLogin, DeviceSettings],
          useFactory: (client: FedecksClient, login: FileLogin, settings: DeviceSettings) =>
            new StatusReport(client, login, settings, urls[0]),
        },
        {
          provide: ControlServer,
          inject: [ControlRoutes],
          useFactory: (routes: ControlRoutes) => new ControlServer(socketPath(stateDir), routes),
        },
        {
          provide: TelemetryFeed,
          inject: [FedecksClient, DeviceSettings],
          useFactory: (client: FedecksClient, settings: DeviceSettings) => {
            const hasOutbox = outbox !== undefined;
            const all = { ...sensors(stateDir), ...(hasOutbox && { outbox: outboxSensor(client) }) };
            const keeper = hasOutbox ? new TelemetryOutbox(client) : undefined;
            return new TelemetryFeed(new Collector(all), settings.telemetryIntervalMs$, keeper);
          },
        },
        {
          provide: Systemd,
          inject: [FedecksClient],
          useFactory: (client: FedecksClient) => new Systemd(client, readSystemdSettings()),
        },
        {
          provide: HealthFile,
          inject: [FedecksClient],
          useFactory: (client: FedecksClient) => new HealthFile(client, config.healthFile),
        },
        ConnectionLog,
        ControlRoutes,
        FileLogin,
        LogStreams,
        Hello,
        Commands,
        ThreadWork,
      ],
    };
  }
}
