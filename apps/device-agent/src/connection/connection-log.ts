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
  // Each reading, with an outbox.
  delivered: 'none',
  delivery_rejected: 'warn',
  delivery_expired: 'warn',
  delivery_dropped: 'warn',
  delivery_failed: 'error',
  delivery_result_dropped: 'warn',
  positions_failed: 'error',
  outbox_failed: 'error',
};

/** In a long outage each reading drops one. The status counts them. */
const DROPS_LOGGED_EVERY_MS = 3_600_000;

/** Logs the events of the connection. */
@Injectable()
export class ConnectionLog implements OnModuleInit {
  private readonly logger = new Logger('Connection');

  /** When a message that was not handled was logged, by why. */
  private readonly dropsLogged = new Map<string, number>();

  constructor(private readonly client: FedecksClient) {}

  onModuleInit(): void {
    this.client.events$.subscribe((event) => {
      const level = this.levelOf(event);
      if (level !== 'none') this.logger[level](inVariables(explain(event)));
    });
  }

  private levelOf(event: ClientEvent): (typeof LEVELS)[ClientEvent['type']] {
    const why = whyNotHandled(event);
    if (why === undefined) return LEVELS[event.type];
    // By a newer reading, as it is meant to be.
    if (why === 'replaced') return 'none';
    return this.isRepeated(why) ? 'none' : LEVELS[event.type];
  }

  private isRepeated(why: string): boolean {
    const now = performance.now();
    const isRepeated = now - (this.dropsLogged.get(why) ?? -Infinity) < DROPS_LOGGED_EVERY_MS;
    if (!isRepeated) this.dropsLogged.set(why, now);
    return isRepeated;
  }
}

function whyNotHandled(event: ClientEvent): string | undefined {
  switch (event.type) {
    case 'delivery_rejected':
      return event.code;
    case 'delivery_dropped':
      return event.cause;
    case 'delivery_expired':
      return event.type;
    default:
      return undefined;
  }
}
