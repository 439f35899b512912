import { Counter, Histogram } from 'prom-client';
import { type CloudMetrics } from '../operations/cloud-metrics.js';
import { RECORDED_TABLES, type RecordedTable } from './recorded-rows.js';

const BATCH_BUCKETS = [0.005, 0.025, 0.1, 0.25, 1, 5, 15];

/** What the writing of batches counts. */
export class RecordingMetrics {
  private readonly written: Counter<'table'>;
  private readonly dropped: Counter<'table'>;
  private readonly batches: Counter<'outcome'>;
  private readonly seconds: Histogram;

  constructor({ registry }: CloudMetrics) {
    const registers = [registry];
    this.written = new Counter({
      name: 'cloud_database_rows_total',
      help: 'Rows about devices that were written, by table.',
      labelNames: ['table'],
      registers,
    });
    this.dropped = new Counter({
      name: 'cloud_database_dropped_rows_total',
      help: 'Rows about devices that were not written: too many waited, the database refused them, or the app ended.',
      labelNames: ['table'],
      registers,
    });
    this.batches = new Counter({
      name: 'cloud_database_batches_total',
      help: 'Batches of rows, by outcome: written, unreachable (it is repeated), or refused (it is split).',
      labelNames: ['outcome'],
      registers,
    });
    this.seconds = new Histogram({
      name: 'cloud_database_batch_seconds',
      help: 'Duration of writing a batch, in seconds, whatever the outcome.',
      registers,
      buckets: BATCH_BUCKETS,
    });
    // Prometheus sees no increase in the first value of a series.
    for (const table of RECORDED_TABLES)
      for (const each of [this.written, this.dropped]) each.inc({ table }, 0);
  }

  onBatch(outcome: 'written' | 'unreachable' | 'refused', seconds: number): void {
    this.batches.inc({ outcome });
    this.seconds.observe(seconds);
  }

  onWritten(table: RecordedTable): void {
    this.written.inc({ table });
  }

  onDropped(table: RecordedTable): void {
    this.dropped.inc({ table });
  }
}
