import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { type ClientEvent, FedecksClient } from '@fedecks/nest/client-nest';
import { durationOf } from '../text/duration.js';
import { sentenceFor } from './sentences.js';

/** Logs the events of the connection. */
@Injectable()
export class ConnectionLog implements OnModuleInit {
  private readonly logger = new Logger('Connection');

  constructor(private readonly client: FedecksClient) {}

  onModuleInit(): void {
    this.client.events$.subscribe((event) => this.onEvent(event));
  }

  private onEvent(event: ClientEvent): void {
    switch (event.type) {
      case 'unregistered':
        return this.logger.log(
          event.cause === 'logged_out' ? 'Logged out: the token is deleted' : 'No token: login required',
        );
      case 'connection_scheduled':
        return this.logger.log(`Connecting in ${durationOf(event.delayMs)}`);
      case 'connecting':
        return this.logger.log(`Connecting to ${event.url} with ${event.with}`);
      case 'connected':
        return this.logger.log('Connected');
      case 'token_stored':
        return this.logger.log('Stored a new token');
      case 'stopped':
        return this.logger.log('Stopped');
      case 'connection_lost':
      case 'upgrade_failed':
      case 'connection_failed':
      case 'connection_error':
      case 'clone_suspected':
        return this.logger.warn(sentenceFor(event));
      case 'token_store_failed':
      case 'token_load_failed':
      case 'observer_failed':
        return this.logger.error(sentenceFor(event));
      case 'token_refused':
        // `FileLogin` says so, and what comes of it.
        return;
      case 'ignored_frame':
        return this.logger.debug(`Ignored a frame from the cloud: ${event.kind}, ${event.bytes} bytes`);
    }
  }
}
