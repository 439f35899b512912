import { Injectable, type OnModuleInit } from '@nestjs/common';
import { PastMoment } from '@fedecks/nest/client';
import { FedecksClient } from '@fedecks/nest/client-nest';
import { type ExpiringTokenStore } from '../connection/expiring-token-store.js';
import { inVariables } from '../connection/tls-files.js';
import { VERSION } from '../version.js';
import { type AgentStatus } from './status.js';

/** Tells how the agent is. */
@Injectable()
export class StatusReport implements OnModuleInit {
  private readonly startedAt = new PastMoment();

  /** @param url is told until one is asked. */
  constructor(
    private readonly client: FedecksClient,
    private readonly tokens: ExpiringTokenStore,
    private url: string,
  ) {}

  onModuleInit(): void {
    this.client.events$.subscribe((event) => {
      if (event.type === 'connecting') this.url = event.url;
    });
  }

  status(): AgentStatus {
    const { state, since, deviceId, lastError, nextAttemptAt, tokenHeld } = this.client.details;
    const expiresAt = tokenHeld ? this.tokens.expiresAt : undefined;
    return {
      state,
      since: since.toISOString(),
      deviceId,
      url: this.url,
      lastError: lastError === undefined ? null : inVariables(lastError),
      nextAttemptAt: nextAttemptAt?.toISOString() ?? null,
      tokenHeld,
      tokenExpiresAt: expiresAt?.toISOString() ?? null,
      version: VERSION,
      pid: process.pid,
      startedAt: this.startedAt.date.toISOString(),
    };
  }
}
