import { FEDECKS_METRICS, type MetricLabels, type MetricsRecorder } from '@fedecks/nest';
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';

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

  observe(name: string, labels: MetricLabels, value: number): void {
    this.histograms.get(name)?.observe(labels, value);
  }
}
