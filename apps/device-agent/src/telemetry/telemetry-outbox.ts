import { type ClientEvent, type FedecksClient } from '@fedecks/nest/client-nest';
import { distinctUntilChanged, filter, map, type Observable, startWith } from 'rxjs';
import { type Telemetry } from './collector.js';

/** A measurement that is to reach the cloud. */
export interface Reading {
  readonly telemetry: Telemetry;
  /** Of those with the same key that wait in the outbox, the newest stays. */
  readonly key: string;
}

/** A disk that takes longer hangs. */
const HANG_MS = 1_000;

const OFFLINE: readonly ClientEvent['type'][] = ['unregistered', 'connection_scheduled', 'connecting'];
const OTHER: readonly ClientEvent['type'][] = ['connected', 'stopped'];

/** Delivers telemetry by the outbox of the client, which keeps it over outages. */
export class TelemetryOutbox {
  /** Whether a cloud takes deliveries is known only while connected. */
  private isSupported = true;
  /** The one that is being kept: the outbox gets one at a time. */
  private keeping: Promise<boolean> | undefined;

  constructor(private readonly client: Pick<FedecksClient, 'deliver' | 'events$' | 'outbox'>) {}

  /** Whether there is no connection; from now on, until the client has stopped. */
  get offline$(): Observable<boolean> {
    return this.client.events$.pipe(
      filter(({ type }) => OFFLINE.includes(type) || OTHER.includes(type)),
      map(({ type }) => OFFLINE.includes(type)),
      startWith(true),
      distinctUntilChanged(),
    );
  }

  /**
   * Keeps a reading, and never rejects. Resolves with false if it must be sent instead: the cloud of the newest connection
   * takes no deliveries, where readings would pile up for ever; or the disk refuses or hangs.
   */
  async keep({ telemetry, key }: Reading): Promise<boolean> {
    const { state } = this.client.outbox;
    if (state !== 'offline' && state !== 'failed') this.isSupported = state !== 'not_supported';
    if (!this.isSupported) return false;
    while (this.keeping) if (!(await settles(this.keeping))) return false;
    this.keeping = this.deliver({ telemetry, key });
    const isKept = await this.keeping;
    this.keeping = undefined;
    return isKept;
  }

  private async deliver({ telemetry, key }: Reading): Promise<boolean> {
    try {
      // What the cloud acknowledges within a second is never written: SD cards live off few writes.
      await this.client.deliver('telemetry', telemetry, { key, lane: 'telemetry', durable: 'memory' });
      return true;
    } catch {
      // The client has reported it: `outbox_failed`.
      return false;
    }
  }
}

/** Whether it settles before it is considered to hang. It never rejects. */
async function settles(keeping: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => (timer = setTimeout(resolve, HANG_MS, false)));
  try {
    return await Promise.race([keeping.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
