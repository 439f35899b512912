import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { type ConnectionChange, Fedecks } from '@fedecks/nest';
import { filter, Subject, type Subscription } from 'rxjs';

/** A device went offline, or came back. */
export interface Outage {
  readonly type: 'device.offline' | 'device.online';
  readonly deviceId: string;
  /** When it disconnected. */
  readonly since: Date;
  /** What ended its connection. */
  readonly cause: string;
  /** When it came back; undefined while it is offline. */
  readonly until?: Date;
}

interface Absence {
  readonly since: Date;
  readonly cause: string;
  /** Monotonic, in ms. */
  readonly leftAt: number;
}

/** More devices are not watched: the oldest absences are forgotten. */
const MAX_ABSENT = 100_000;
const LOOK_EVERY_MS = 500;

/**
 * Notices devices that left this node and do not come back, to whichever node, within the grace time. What a node knows
 * of its devices ends with it: devices of a node that is killed, and do not come back, are not noticed.
 */
@Injectable()
export class DeviceWatch implements OnApplicationBootstrap, OnApplicationShutdown {
  /** Each outage when the grace time has passed, and its end. */
  readonly outages$ = new Subject<Outage>();
  private readonly logger = new Logger('DeviceWatch');
  /** Within the grace time. The oldest first. */
  private readonly left = new Map<string, Absence>();
  private readonly offline = new Map<string, Absence>();
  private readonly subscriptions: Subscription[] = [];
  private timer: NodeJS.Timeout | undefined;
  private isLooking = false;

  /** @param graceMs how long a device may be away. */
  constructor(
    private readonly fedecks: Fedecks,
    private readonly graceMs: number,
  ) {}

  get offlineCount(): number {
    return this.offline.size;
  }

  onApplicationBootstrap(): void {
    const online$ = this.fedecks.presence.changes$.pipe(filter(({ state }) => state === 'online'));
    this.subscriptions.push(
      this.fedecks.connections$.subscribe((change) => this.onChange(change)),
      // It may come back to another node.
      online$.subscribe(({ id }) => this.onBack(id)),
    );
    this.timer = setInterval(() => void this.look(), LOOK_EVERY_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    this.outages$.complete();
  }

  private onChange(change: ConnectionChange): void {
    const { id } = change.device;
    if (change.type === 'connected') return this.onBack(id);
    this.left.delete(id);
    this.left.set(id, { since: new Date(), cause: change.cause.type, leftAt: performance.now() });
    forgetOldest(this.left);
  }

  private onBack(deviceId: string): void {
    this.left.delete(deviceId);
    const absence = this.offline.get(deviceId);
    if (!absence) return;
    this.offline.delete(deviceId);
    const { since, cause } = absence;
    this.outages$.next({ type: 'device.online', deviceId, since, cause, until: new Date() });
  }

  /** One device after another: asking for thousands at once would be a storm of its own. */
  private async look(): Promise<void> {
    if (this.isLooking) return;
    this.isLooking = true;
    try {
      for (const [deviceId, absence] of this.left) {
        if (performance.now() - absence.leftAt < this.graceMs) break;
        const presence = await this.fedecks.presence.get(deviceId);
        // It may have come back meanwhile, or left again.
        if (this.left.get(deviceId) !== absence) continue;
        this.left.delete(deviceId);
        if (presence?.state === 'online') continue;
        this.offline.set(deviceId, absence);
        forgetOldest(this.offline);
        const { since, cause } = absence;
        this.outages$.next({ type: 'device.offline', deviceId, since, cause });
      }
    } catch (error) {
      // The other nodes cannot be asked: it looks again.
      this.logger.debug(`Presence is unknown: ${error instanceof Error ? error.message : 'unknown error'}`);
    } finally {
      this.isLooking = false;
    }
  }
}

function forgetOldest(absences: Map<string, Absence>): void {
  const [oldest] = absences.keys();
  if (absences.size > MAX_ABSENT && oldest !== undefined) absences.delete(oldest);
}
