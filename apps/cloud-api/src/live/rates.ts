import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { concatMap, interval, map, pairwise, startWith, Subject, type Subscription } from 'rxjs';
import { CloudMetrics } from '../operations/cloud-metrics.js';

/** What this node did in a second. */
export interface Rates {
  /** When that second ended, in milliseconds since 1970. */
  readonly at: number;
  readonly connects: number;
  /** By cause, without the causes that did not occur. */
  readonly closes: Readonly<Record<string, number>>;
  readonly received: number;
  readonly sent: number;
  readonly requests: number;
  readonly deliveries: number;
}

const COUNTERS = {
  connects: 'fedecks_connections_opened_total',
  received: 'fedecks_messages_received_total',
  sent: 'fedecks_messages_sent_total',
  requests: 'fedecks_requests_total',
  deliveries: 'fedecks_deliveries_total',
} as const;
type Counted = keyof typeof COUNTERS;

const EVERY_MS = 1_000;
/** Five minutes. */
const MAX_RECENT = 300;

/** The rates of this node, each second. They are differences of the counters of `/metrics`. */
@Injectable()
export class NodeRates implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly rates$ = new Subject<Rates>();
  private readonly kept: Rates[] = [];
  private counting: Subscription | undefined;

  constructor(private readonly metrics: CloudMetrics) {}

  /** Those of the last five minutes, the oldest first. */
  get recent(): readonly Rates[] {
    return this.kept;
  }

  onApplicationBootstrap(): void {
    this.counting = interval(EVERY_MS)
      .pipe(
        startWith(0),
        concatMap(() => this.totals()),
        pairwise(),
        map(([before, after]) => differenceOf(before, after)),
      )
      .subscribe((rates) => this.onRates(rates));
  }

  onApplicationShutdown(): void {
    this.counting?.unsubscribe();
    this.rates$.complete();
  }

  private onRates(rates: Rates): void {
    this.kept.push(rates);
    if (this.kept.length > MAX_RECENT) this.kept.shift();
    this.rates$.next(rates);
  }

  private async totals(): Promise<Rates> {
    const names = Object.keys(COUNTERS) as Counted[];
    const totals = names.map(async (name) => [name, await this.metrics.total(COUNTERS[name])] as const);
    const closes = await this.metrics.totalsBy('cause', 'fedecks_connections_closed_total');
    const counted = Object.fromEntries(await Promise.all(totals)) as Record<Counted, number>;
    return { at: Date.now(), closes, ...counted };
  }
}

function differenceOf(before: Rates, after: Rates): Rates {
  const names = Object.keys(COUNTERS) as Counted[];
  const counted = Object.fromEntries(names.map((name) => [name, after[name] - before[name]]));
  const closes = Object.entries(after.closes)
    .map(([cause, total]) => [cause, total - (before.closes[cause] ?? 0)] as const)
    .filter(([, count]) => count > 0);
  return { at: after.at, closes: Object.fromEntries(closes), ...(counted as Record<Counted, number>) };
}
