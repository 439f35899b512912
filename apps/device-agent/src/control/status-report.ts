import { Injectable, type OnModuleInit } from '@nestjs/common';
import { PastMoment } from '@fedecks/nest/client';
import { type ClientEvent, FedecksClient } from '@fedecks/nest/client-nest';
import { type FileLogin } from '../connection/file-login.js';
import { inVariables } from '../connection/tls-files.js';
import { type DeviceSettings } from '../settings/device-settings.js';
import { VERSION } from '../version.js';
import { type AgentStatus } from './status.js';

const CLONE_REMEMBERED_MS = 2 * 3_600_000;

/** Tells how the agent is. */
@Injectable()
export class StatusReport implements OnModuleInit {
  private readonly startedAt = new PastMoment();
  private tokenRefused = false;
  private clone: { readonly since: PastMoment; readonly at: PastMoment } | undefined;
  private lastLoss: { readonly at: PastMoment; readonly unconfirmed: number } | undefined;

  /** @param url is told until one is asked. */
  constructor(
    private readonly client: FedecksClient,
    private readonly fileLogin: Pick<FileLogin, 'progress'>,
    private readonly settings: Pick<DeviceSettings, 'current'>,
    private url: string,
  ) {}

  onModuleInit(): void {
    this.client.events$.subscribe((event) => this.onEvent(event));
  }

  private onEvent(event: ClientEvent): void {
    if (event.type === 'connecting') this.url = event.url;
    if (event.type === 'token_refused') this.tokenRefused = true;
    if (event.type === 'connected' || event.type === 'unregistered') this.tokenRefused = false;
    if (event.type === 'clone_suspected') {
      const at = new PastMoment();
      this.clone = { since: this.recentClone?.since ?? at, at };
    }
    if (event.type === 'connection_lost')
      this.lastLoss = { at: new PastMoment(), unconfirmed: event.unconfirmed ?? 0 };
  }

  /** A device that the cloud keeps away for it comes back within an hour, and hears of it again. */
  private get recentClone(): typeof this.clone {
    return this.clone && this.clone.at.agoMs < CLONE_REMEMBERED_MS ? this.clone : undefined;
  }

  status(): AgentStatus {
    const { state, since, deviceId, nextAttemptAt, tokenHeld, tokenExpiresAt, lastError } =
      this.client.details;
    const { outbox } = this.client;
    const { progress } = this.fileLogin;
    const { recentClone, lastLoss } = this;
    const inMs = (dueAt: number): Date => new Date(Date.now() + Math.max(0, dueAt - performance.now()));
    return {
      state,
      since: since.toISOString(),
      deviceId,
      url: this.url,
      lastError: lastError === undefined ? null : inVariables(lastError),
      nextAttemptAt: nextAttemptAt?.toISOString() ?? null,
      tokenHeld,
      tokenExpiresAt: tokenExpiresAt?.toISOString() ?? null,
      tokenRefused: tokenHeld && this.tokenRefused,
      clone: recentClone
        ? { since: recentClone.since.date.toISOString(), at: recentClone.at.date.toISOString() }
        : null,
      lastLoss: lastLoss ? { at: lastLoss.at.date.toISOString(), unconfirmed: lastLoss.unconfirmed } : null,
      fileLogin: progress
        ? {
            file: progress.file,
            nextTryAt: progress.nextTryAt === undefined ? null : inMs(progress.nextTryAt).toISOString(),
            lastError: progress.lastError ?? null,
          }
        : null,
      outbox: outbox.state === 'none' ? null : outbox,
      settings: this.settings.current,
      version: VERSION,
      pid: process.pid,
      startedAt: this.startedAt.date.toISOString(),
    };
  }
}
