import { Injectable } from '@nestjs/common';
import { OnConnected } from '@fedecks/nest/client-nest';
import { type Term, tuple } from '@fedecks/nest/wire';
import { BehaviorSubject, exhaustMap, map, type Observable, switchMap, timer } from 'rxjs';
import { collect } from './collect.js';

/** Sends a `telemetry` event when connected, and again at each interval for as long as the connection lives. */
@Injectable()
export class TelemetryFeed {
  private readonly intervalMs: BehaviorSubject<number>;

  /** @param intervalMs until the cloud sets another one. */
  constructor(intervalMs: number) {
    this.intervalMs = new BehaviorSubject(intervalMs);
  }

  @OnConnected()
  feed(): Observable<Term> {
    return this.intervalMs.pipe(
      switchMap((everyMs) => timer(0, everyMs)),
      // Sensors that take longer than the interval miss a turn.
      exhaustMap(() => collect()),
      map((telemetry) => tuple('telemetry', telemetry)),
    );
  }

  /** Sends at once, and from then on at this interval; until the agent is restarted. */
  setInterval(intervalMs: number): void {
    this.intervalMs.next(intervalMs);
  }
}
