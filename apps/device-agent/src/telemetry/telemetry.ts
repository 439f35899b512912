import { randomUUID } from 'node:crypto';
import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { OnConnected } from '@fedecks/nest/client-nest';
import { type Term, tuple } from '@fedecks/nest/wire';
import {
  EMPTY,
  exhaustMap,
  filter,
  map,
  mergeAll,
  mergeMap,
  type Observable,
  switchMap,
  tap,
  timer,
} from 'rxjs';
import { type Collector, type Telemetry } from './collector.js';
import { isNotable } from './notable-change.js';
import { type Reading, type TelemetryOutbox } from './telemetry-outbox.js';

/** How often it is looked whether something has changed, in milliseconds. */
const LOOK_EVERY_MS = 10_000;

interface Measurement {
  readonly telemetry: Telemetry;
  readonly at: number;
}

/**
 * Sends a `telemetry` event when connected, and again at each interval for as long as the connection lives; before that
 * when the device fares notably differently than the cloud was told last. With an outbox it goes on without a connection,
 * and the cloud gets those readings later.
 */
@Injectable()
export class TelemetryFeed implements OnModuleInit {
  private readonly logger = new Logger('Telemetry');
  /** Those that failed last time: a sensor that stays broken is told of once. */
  private broken = new Set<string>();
  /** The one that was sent or kept last. */
  private last: Measurement | undefined;

  /** Its readings must not replace those of an earlier process. */
  private readonly process = randomUUID();
  private intervals = 0;
  private intervalBegan = -Infinity;

  /**
   * @param intervalMs$ emits the interval at once, in milliseconds, and each other one from then on: a reading is sent
   * at once then.
   * @param lookEveryMs how often it is looked whether something has changed.
   */
  constructor(
    private readonly collector: Pick<Collector, 'collect'>,
    private readonly intervalMs$: Observable<number>,
    private readonly outbox?: TelemetryOutbox,
    private readonly lookEveryMs = LOOK_EVERY_MS,
  ) {}

  @OnConnected()
  feed(): Observable<Term> {
    const { outbox } = this;
    const readings = this.readings(true);
    const toSend = outbox
      ? readings.pipe(
          mergeMap(async (reading) => ((await outbox.keep(reading)) ? [] : [reading])),
          mergeAll(),
        )
      : readings;
    return toSend.pipe(map(({ telemetry }) => tuple('telemetry', telemetry)));
  }

  onModuleInit(): void {
    const { outbox } = this;
    outbox?.offline$
      .pipe(switchMap((isOffline) => (isOffline ? this.readings(false) : EMPTY)))
      .subscribe((reading) => void outbox.keep(reading));
  }

  /** Those that are news. @param isAtOnce begins with one, and otherwise when the next one is due. */
  private readings(isAtOnce: boolean): Observable<Reading> {
    return this.intervalMs$.pipe(
      switchMap((intervalMs) => {
        if (isAtOnce) this.last = undefined;
        const lookMs = Math.min(intervalMs, this.lookEveryMs);
        // The look nearest to the interval counts, also if what it measures comes a little early.
        const longestMs = intervalMs - lookMs / 2;
        return timer(isAtOnce ? 0 : lookMs, lookMs).pipe(
          // Sensors that take longer than that miss a turn.
          exhaustMap(async () => ({ telemetry: await this.measure(), at: performance.now() })),
          filter(
            ({ telemetry, at }) =>
              this.last === undefined ||
              at - this.last.at >= longestMs ||
              isNotable(this.last.telemetry, telemetry),
          ),
          tap((measurement) => (this.last = measurement)),
          map(({ telemetry, at }) => ({ telemetry, key: this.keyAt(at, longestMs) })),
        );
      }),
    );
  }

  /**
   * One key for each interval: in an outage each interval leaves one reading, however often something changes, so it is
   * known for how long the outbox suffices.
   */
  private keyAt(at: number, longestMs: number): string {
    if (at - this.intervalBegan >= longestMs) {
      this.intervalBegan = at;
      this.intervals++;
    }
    return `${this.process}/${this.intervals}`;
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
