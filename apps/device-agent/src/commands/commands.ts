import { release } from 'node:os';
import { Injectable, Logger, UseFilters, ValidationPipe } from '@nestjs/common';
import { DeviceId, FedecksClient, OnMessage, Payload } from '@fedecks/nest/client-nest';
import { eventOf, type Term } from '@fedecks/nest/wire';
import { TelemetryFeed } from '../telemetry/telemetry.js';
import { InvalidCommandFilter } from './invalid-command.filter.js';
import { Restart } from './restart.js';
import { SetIntervalDto } from './set-interval.dto.js';

/** What the cloud may ask of the device. What a method returns is the answer. */
@Injectable()
export class Commands {
  private readonly logger = new Logger('Commands');

  constructor(
    private readonly telemetry: TelemetryFeed,
    private readonly client: FedecksClient,
    private readonly agent: Restart,
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
    this.telemetry.setInterval(intervalMs);
    return { event: 'interval_set', data: { intervalMs } };
  }

  /** The answer goes first: a cloud that does not get it would ask again. */
  @OnMessage('restart')
  async restart() {
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
