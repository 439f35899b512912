import { Injectable, Logger } from '@nestjs/common';
import { OnConnected } from '@fedecks/nest/client-nest';
import { type Term, tuple } from '@fedecks/nest/wire';
import { BehaviorSubject, exhaustMap, filter, map, type Observable, switchMap, tap, timer } from 'rxjs';
import { type Collector, type Telemetry } from './collector.js';
import { isNotable } from './notable-change.js';

/** How often it is looked whether something has changed, in milliseconds. */
const LOOK_EVERY_MS = 10_000;

/**
 * Sends a `telemetry` event when connected, and again at each interval for as long as the connection lives; before that
 * when the device fares notably differently than the cloud was told last.
 */
@Injectable()
export class TelemetryFeed {
  private readonly logger = new Logger('Telemetry');
  private readonly intervalMs: BehaviorSubject<number>;
  /** Those that failed last time: a sensor that stays broken is told of once. */
  private broken = new Set<string>();

  /**
   * @param intervalMs until the cloud sets another one.
   * @param lookEveryMs how often it is looked whether something has changed.
   */
  constructor(
    private readonly collector: Pick<Collector, 'collect'>,
    intervalMs: number,
    private readonly lookEveryMs = LOOK_EVERY_MS,
  ) {
    this.intervalMs = new BehaviorSubject(intervalMs);
  }

  @OnConnected()
  feed(): Observable<Term> {
    return this.intervalMs.pipe(
      switchMap((intervalMs) => this.measurements(intervalMs)),
      map((telemetry) => tuple('telemetry', telemetry)),
    );
  }

  /** Those that are sent. */
  private measurements(intervalMs: number): Observable<Telemetry> {
    let last: { readonly telemetry: Telemetry; readonly at: number } | undefined;
    const lookMs = Math.min(intervalMs, this.lookEveryMs);
    // The look nearest to the interval counts, also if what it measures comes a little early.
    const longestMs = intervalMs - lookMs / 2;
    return timer(0, lookMs).pipe(
      // Sensors that take longer than that miss a turn.
      exhaustMap(async () => ({ telemetry: await this.measure(), at: performance.now() })),
      filter(
        ({ telemetry, at }) =>
          last === undefined || at - last.at >= longestMs || isNotable(last.telemetry, telemetry),
      ),
      tap((measurement) => (last = measurement)),
      map(({ telemetry }) => telemetry),
    );
  }

  /** Sends at once, and from then on at this interval; until the agent is restarted. */
  setInterval(intervalMs: number): void {
    this.intervalMs.next(intervalMs);
  }

  private async measure(): Promise<Telemetry> {
    const broken = new Set<string>();
    const telemetry = await this.collector.collect((sensor, reason) => {
      broken.add(sensor);
      if (!this.broken.has(sensor)) this.logger.warn(`Telemetry is sent without ${sensor}: ${reason}`);
    });
    this.broken = broken;
    return telemetry;
  }
}
