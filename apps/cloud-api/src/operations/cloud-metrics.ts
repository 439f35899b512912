import { FEDECKS_METRICS, type MetricLabels, type MetricsRecorder } from '@fedecks/nest';
import {
  collectDefaultMetrics,
  Counter,
  Histogram,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client';

/** From a reply at once to a handler that waits for a slow database. In seconds. */
const BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60];

/** The metrics of this process: those of the library, of Node, and what other providers add to the registry. */
export class CloudMetrics implements MetricsRecorder {
  readonly registry = new Registry();
  private readonly counters = new Map<string, Counter>();
  private readonly histograms = new Map<string, Histogram>();

  constructor() {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    for (const { name, type, help, labels } of FEDECKS_METRICS) {
      const labelNames = [...labels];
      if (type === 'counter') this.counters.set(name, new Counter({ name, help, labelNames, registers }));
      else this.histograms.set(name, new Histogram({ name, help, labelNames, registers, buckets: BUCKETS }));
    }
  }

  count(name: string, labels: MetricLabels, by: number): void {
    this.counters.get(name)?.inc(labels, by);
  }

  /** What a counter of the library has counted, over all its labels. */
  async total(name: string): Promise<number> {
    const values = await this.valuesOf(name);
    return values.reduce((sum, { value }) => sum + value, 0);
  }

  /** What a counter of the library has counted, by the values of one of its labels. */
  async totalsBy(label: string, name: string): Promise<Record<string, number>> {
    const totals: Record<string, number> = {};
    for (const { labels, value } of await this.valuesOf(name)) {
      const key = String(labels[label]);
      totals[key] = (totals[key] ?? 0) + value;
    }
    return totals;
  }

  observe(name: string, labels: MetricLabels, value: number): void {
    this.histograms.get(name)?.observe(labels, value);
  }

  private async valuesOf(counter: string): Promise<MetricObjectWithValues<MetricValue<string>>['values']> {
    return (await this.counters.get(counter)?.get())?.values ?? [];
  }
}
