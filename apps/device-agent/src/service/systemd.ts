import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import {
  type BeforeApplicationShutdown,
  Injectable,
  Logger,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { FedecksClient } from '@fedecks/nest/client-nest';
import { Liveness } from './liveness.js';

/** What systemd tells a service it has started. */
export interface SystemdSettings {
  /** Where it wants to be told how the service fares; undefined where it does not, or is not there at all. */
  readonly notifySocket: string | undefined;
  /** After how long without a sign of life it restarts the service; undefined if it does not. */
  readonly watchdogMs: number | undefined;
  /** Where `systemd-notify` is looked for. */
  readonly path: string | undefined;
}

const run = promisify(execFile);

const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** `systemd-notify` waits until systemd has read what it said; one that cannot be delivered is given up. */
const NOTIFY_WITHIN_MS = 5_000;

/**
 * Tells systemd when the agent is ready, how it fares, and that it lives: for units of `Type=notify` with
 * `WatchdogSec` (sd_notify(3)). The watchdog is fed by a timer, so not while the event loop is blocked, and not when
 * the client has nothing left to wait for. Without systemd it does nothing.
 *
 * Node has no unix datagram sockets, which is what systemd listens on. The program `systemd-notify` is there wherever
 * systemd is, so each message is a short process of its own: a native module would have to be built for every device.
 * The unit needs `NotifyAccess=all` for it.
 */
@Injectable()
export class Systemd implements OnModuleInit, OnModuleDestroy, BeforeApplicationShutdown {
  private readonly logger = new Logger('Systemd');
  private readonly liveness = new Liveness();
  private timer: NodeJS.Timeout | undefined;
  private telling: Promise<void> | undefined;
  private failed = false;
  private starved = false;

  constructor(
    private readonly client: FedecksClient,
    private readonly settings: SystemdSettings,
  ) {}

  onModuleInit(): void {
    this.client.events$.subscribe((event) => this.liveness.onEvent(event, performance.now()));
  }

  /** Reports readiness when the agent runs, connected or not: a missing network is not a failed start. */
  ready(): void {
    this.tell('READY=1', this.status());
    const { watchdogMs } = this.settings;
    if (watchdogMs === undefined) return;
    this.timer = setInterval(() => this.feed(), Math.min(watchdogMs / 2, LONGEST_TIMER_MS));
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
    this.tell('STOPPING=1', 'STATUS=stopping');
  }

  /** What was said last is on its way when the process ends. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.telling;
  }

  private feed(): void {
    if (!this.liveness.alive(performance.now())) return this.starve();
    // One that is still on its way will do.
    if (this.telling === undefined) this.tell('WATCHDOG=1', this.status());
  }

  private starve(): void {
    if (this.starved) return;
    this.starved = true;
    this.logger.error(
      'The client has stopped working: the agent no longer notifies the watchdog, so systemd will restart it',
    );
  }

  private status(): string {
    return `STATUS=${this.client.status}`;
  }

  /** One after another, in order. */
  private tell(...assignments: readonly string[]): void {
    const { notifySocket } = this.settings;
    if (notifySocket === undefined) return;
    const telling = (this.telling ?? Promise.resolve())
      .then(() => this.notify(notifySocket, assignments))
      .catch((error: unknown) => this.onNotifyFailed(error as Error & { code?: unknown }))
      .then(() => {
        if (this.telling === telling) this.telling = undefined;
      });
    this.telling = telling;
  }

  private async notify(notifySocket: string, assignments: readonly string[]): Promise<void> {
    const { path } = this.settings;
    await run('systemd-notify', assignments, {
      env: { NOTIFY_SOCKET: notifySocket, ...(path !== undefined && { PATH: path }) },
      timeout: NOTIFY_WITHIN_MS,
      killSignal: 'SIGKILL',
    });
  }

  /** Logged once, and not fatal. */
  private onNotifyFailed(error: Error & { code?: unknown }): void {
    if (this.failed) return;
    this.failed = true;
    const reason = error.code === 'ENOENT' ? 'the program is not on the PATH' : error.message.trim();
    this.logger.error(
      `The agent cannot notify systemd, which may therefore restart it. systemd-notify: ${reason}`,
    );
  }
}
