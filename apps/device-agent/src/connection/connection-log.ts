import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { type ClientEvent, FedecksClient } from '@fedecks/nest/client-nest';
import { inVariables } from './tls-files.js';

/** Tells in the log how the connection fares. */
@Injectable()
export class ConnectionLog implements OnModuleInit {
  private readonly logger = new Logger('Connection');

  constructor(private readonly client: FedecksClient) {}

  onModuleInit(): void {
    this.client.events$.subscribe((event) => this.told(event));
  }

  private told(event: ClientEvent): void {
    switch (event.type) {
      case 'unregistered':
        return this.logger.log(
          event.cause === 'logged_out' ? 'Logged out: the token is forgotten' : 'No token: a login is needed',
        );
      case 'connection_scheduled':
        return this.logger.log(`Connecting in ${(event.delayMs / 1000).toFixed(1)} s`);
      case 'connecting':
        return this.logger.log(`Connecting to ${event.url} with ${event.with}`);
      case 'connected':
        return this.logger.log('Connected');
      case 'token_stored':
        return this.logger.log('A new token is stored');
      case 'stopped':
        return this.logger.log('Stopped');
      case 'connection_lost':
        return this.logger.warn(
          `Connection lost: ${event.cause}${event.code === undefined ? '' : ` ${event.code}`}`,
        );
      case 'upgrade_failed':
        return this.logger.warn(
          `The cloud refused: ${inVariables(event.reason ?? `HTTP status ${event.status}`)}`,
        );
      case 'connection_failed':
        return this.logger.warn(`The cloud was not reached: ${inVariables(event.reason)}`);
      case 'connection_error':
        return this.logger.warn(`Connection error: ${event.reason}`);
      case 'token_store_failed':
        return this.logger.error(
          `The stored token could not be changed, so a restart brings the old one back, or none: ${event.reason}`,
        );
      case 'token_load_failed':
        return this.logger.error(`The stored token cannot be used: ${event.reason}`);
      case 'observer_failed':
        return this.logger.error(`An observer of the client failed: ${event.reason}`);
      case 'ignored_frame':
        return this.logger.debug(`A frame of the cloud was passed over: ${event.kind}, ${event.bytes} bytes`);
    }
  }
}
