import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { type ClientEvent, explain, FedecksClient } from '@fedecks/nest/client-nest';
import { inVariables } from './tls-files.js';

const LEVELS: Readonly<Record<ClientEvent['type'], 'error' | 'warn' | 'log' | 'debug' | 'none'>> = {
  unregistered: 'log',
  connection_scheduled: 'log',
  connecting: 'log',
  connected: 'log',
  stopped: 'log',
  connection_failed: 'warn',
  upgrade_failed: 'warn',
  // `FileLogin` says so, and what comes of it.
  token_refused: 'none',
  connection_error: 'warn',
  connection_lost: 'warn',
  clone_suspected: 'warn',
  token_stored: 'log',
  token_store_failed: 'error',
  token_load_failed: 'error',
  observer_failed: 'error',
  ignored_frame: 'debug',
  delivered: 'debug',
  delivery_rejected: 'warn',
  delivery_expired: 'warn',
  delivery_dropped: 'warn',
  delivery_failed: 'error',
  delivery_result_dropped: 'warn',
  positions_failed: 'error',
  outbox_failed: 'error',
};

/** Logs the events of the connection. */
@Injectable()
export class ConnectionLog implements OnModuleInit {
  private readonly logger = new Logger('Connection');

  constructor(private readonly client: FedecksClient) {}

  onModuleInit(): void {
    this.client.events$.subscribe((event) => {
      const level = LEVELS[event.type];
      if (level !== 'none') this.logger[level](inVariables(explain(event)));
    });
  }
}
