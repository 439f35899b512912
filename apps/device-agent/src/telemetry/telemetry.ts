import { Injectable, Logger } from '@nestjs/common';
import { OnConnected } from '@fedecks/nest/client-nest';
import { type Term, tuple } from '@fedecks/nest/wire';
import { BehaviorSubject, exhaustMap, map, type Observable, switchMap, timer } from 'rxjs';
import { type Collector } from './collector.js';

/** Sends a `telemetry` event when connected, and again at each interval for as long as the connection lives. */
@Injectable()
export class TelemetryFeed {
  private readonly logger = new Logger('Telemetry');
  private readonly intervalMs: BehaviorSubject<number>;
  /** Those that failed last time: a sensor that stays broken is told of once. */
  private broken = new Set<string>();

  /** @param intervalMs until the cloud sets another one. */
  constructor(
    private readonly collector: Pick<Collector, 'collect'>,
    intervalMs: number,
  ) {
    this.intervalMs = new BehaviorSubject(intervalMs);
  }

  @OnConnected()
  feed(): Observable<Term> {
    return this.intervalMs.pipe(
      switchMap((everyMs) => timer(0, everyMs)),
      // Sensors that take longer than the interval miss a turn.
      exhaustMap(() => this.measure()),
      map((telemetry) => tuple('telemetry', telemetry)),
    );
  }

  /** Sends at once, and from then on at this interval; until the agent is restarted. */
  setInterval(intervalMs: number): void {
    this.intervalMs.next(intervalMs);
  }

  private async measure(): Promise<Term> {
    const broken = new Set<string>();
    const telemetry = await this.collector.collect((sensor, reason) => {
      broken.add(sensor);
      if (!this.broken.has(sensor)) this.logger.warn(`Telemetry goes without ${sensor}: ${reason}`);
    });
    this.broken = broken;
    return telemetry;
  }
}
