import { release } from 'node:os';
import { BadRequestException, Injectable, Logger, UseFilters, ValidationPipe } from '@nestjs/common';
import {
  AbortSignal,
  Delivery,
  type DeliveryInfo,
  DeviceId,
  FedecksClient,
  OnMessage,
  Payload,
} from '@fedecks/nest/client-nest';
import { eventOf, type Term } from '@fedecks/nest/wire';
import { map } from 'rxjs';
import { type CommandLine } from '../exec/exec-commands.js';
import { ExecRunner } from '../exec/exec-runner.js';
import { type LogQuery, LogStreams } from '../log/log-streams.js';
import { DeviceSettings } from '../settings/device-settings.js';
import { type SettingsChange } from '../settings/settings.js';
import { InvalidCommandFilter } from './invalid-command.filter.js';
import { ExecPipe, LogsPipe, SettingsPipe } from './pipes.js';
import { Restart } from './restart.js';
import { SetIntervalDto } from './set-interval.dto.js';

/** What the cloud may ask of the device. What a method returns is the answer. */
@Injectable()
export class Commands {
  private readonly logger = new Logger('Commands');

  constructor(
    private readonly client: FedecksClient,
    private readonly agent: Restart,
    private readonly deviceSettings: DeviceSettings,
    private readonly logStreams: LogStreams,
    private readonly runner: ExecRunner,
  ) {}

  @OnMessage('ping')
  ping(@Payload() data: Term) {
    this.logger.log('ping: answered with pong');
    return { event: 'pong', data };
  }

  @OnMessage('identify')
  identify(@DeviceId() deviceId: string) {
    this.logger.log('identify: answered with identity');
    const { platform, arch, version } = process;
    return {
      event: 'identity',
      data: { deviceId, platform, arch, osRelease: release(), nodeVersion: version },
    };
  }

  @OnMessage('set_interval')
  @UseFilters(InvalidCommandFilter)
  setInterval(@Payload(new ValidationPipe()) { intervalMs }: SetIntervalDto) {
    this.logger.log(`set_interval: telemetry every ${intervalMs} ms from now on`);
    this.deviceSettings.setUntilRestart({ telemetryIntervalMs: intervalMs });
    return { event: 'interval_set', data: { intervalMs } };
  }

  /** Changes settings, or none, and answers with those in force. */
  @OnMessage('settings')
  async settings(@Payload(SettingsPipe) change: SettingsChange) {
    return { ...(await this.deviceSettings.change(change)) };
  }

  @OnMessage('logs')
  logs(
    @Payload(LogsPipe) query: LogQuery,
    @AbortSignal() signal: AbortSignal,
    @Delivery() delivery: DeliveryInfo | undefined,
  ) {
    // It would keep its lane for ever.
    if (delivery) throw new BadRequestException('logs cannot be delivered: ask for them with a stream');
    this.logger.log(`logs: ${query.lines} lines${query.follow ? ', and then new ones' : ''}`);
    return this.logStreams.read(query, signal);
  }

  /** A stream, so that other commands do not wait for its end. */
  @OnMessage('exec')
  exec(@Payload(ExecPipe) command: CommandLine) {
    this.logger.log(`exec: ${command.name}`);
    return this.runner.run(command).pipe(map((result) => ({ ...result })));
  }

  /** A cloud may answer a `hello` with it: there is nothing to do. */
  @OnMessage('hi')
  hi(): void {
    // Without a handler it would count as an unknown command.
  }

  /** The answer goes first: a cloud that does not get it would ask again. */
  @OnMessage('restart')
  async restart() {
    this.agent.check();
    this.logger.log('restart: answered with restarting, stopping now');
    await this.client.send({ event: 'restarting', data: null });
    this.agent.request();
  }

  /** A newer cloud is told what this agent does not know. What is no event is not answered: it may be an answer. */
  @OnMessage()
  other(@Payload() message: Term) {
    const event = eventOf(message);
    this.logger.log(
      event ? `Unknown event: ${JSON.stringify(event.name)}` : 'Received a message that is not an event',
    );
    return event && { event: 'unsupported', data: { event: event.name } };
  }
}
