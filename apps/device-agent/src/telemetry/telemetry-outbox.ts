import { type ClientEvent, type FedecksClient } from '@fedecks/nest/client-nest';
import { distinctUntilChanged, filter, map, type Observable, startWith } from 'rxjs';
import { type Telemetry } from './collector.js';

/** A measurement that is to reach the cloud. */
export interface Reading {
  readonly telemetry: Telemetry;
  /** Of those with the same key that wait in the outbox, the newest stays. */
  readonly key: string;
}

const OFFLINE: readonly ClientEvent['type'][] = ['unregistered', 'connection_scheduled', 'connecting'];
const OTHER: readonly ClientEvent['type'][] = ['connected', 'stopped'];

/** Delivers telemetry by the outbox of the client, which keeps it over outages. */
export class TelemetryOutbox {
  /** Whether a cloud takes deliveries is known only while connected. */
  private isSupported = true;
  private isKeeping = false;

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
    if (!this.isSupported || this.isKeeping) return false;
    this.isKeeping = true;
    try {
      // What the cloud acknowledges within a second is never written: SD cards live off few writes.
      await this.client.deliver('telemetry', telemetry, { key, lane: 'telemetry', durable: 'memory' });
      return true;
    } catch {
      // The client has reported it: `outbox_failed`.
      return false;
    } finally {
      this.isKeeping = false;
    }
  }
}
