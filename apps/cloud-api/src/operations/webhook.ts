import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { type CloudMetrics } from './cloud-metrics.js';
import { type DeviceWatch, type Outage } from './device-watch.js';
import { type WebhookConfig } from './operations-config.js';

const MAX_QUEUED = 10_000;
const MAX_BATCH = 100;
const MAX_ATTEMPTS = 8;
const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 60_000;
const TIMEOUT_MS = 10_000;

/**
 * Reports outages of devices to a URL, in order, up to 100 in a request. A request that is not answered with 2xx is
 * repeated, 8 times in all. What is given up, or comes while 10,000 wait, is counted as dropped.
 */
export class Webhook implements OnApplicationShutdown {
  private readonly logger = new Logger('Webhook');
  private readonly queue: Outage[] = [];
  private readonly ending = new AbortController();
  private readonly events: Counter<'result'>;
  private readonly failures: Counter;
  private isSending = false;

  constructor(config: WebhookConfig | undefined, { outages$ }: DeviceWatch, { registry }: CloudMetrics) {
    const registers = [registry];
    this.events = new Counter({
      name: 'cloud_webhook_events_total',
      help: 'Events for the webhook, by result: delivered or dropped.',
      labelNames: ['result'],
      registers,
    });
    this.failures = new Counter({
      name: 'cloud_webhook_failures_total',
      help: 'Requests to the webhook that failed, also those that are repeated.',
      registers,
    });
    const { queue } = this;
    new Gauge({
      name: 'cloud_webhook_queued',
      help: 'Events that wait for the webhook.',
      registers,
      collect() {
        this.set(queue.length);
      },
    });
    if (config) outages$.subscribe((outage) => this.put(outage, config));
  }

  onApplicationShutdown(): void {
    this.ending.abort();
    if (this.queue.length > 0) this.drop(this.queue.length, 'the app ends');
  }

  private put(outage: Outage, config: WebhookConfig): void {
    if (this.queue.length >= MAX_QUEUED) {
      this.events.inc({ result: 'dropped' });
      return;
    }
    this.queue.push(outage);
    if (!this.isSending) void this.sendAll(config);
  }

  private async sendAll(config: WebhookConfig): Promise<void> {
    this.isSending = true;
    while (this.queue.length > 0 && !this.ending.signal.aborted) {
      const batch = this.queue.slice(0, MAX_BATCH);
      const isDelivered = await this.insist(batch, config);
      if (isDelivered === undefined) return;
      this.queue.splice(0, batch.length);
      if (isDelivered) this.events.inc({ result: 'delivered' }, batch.length);
      else this.drop(batch.length, `${MAX_ATTEMPTS} requests failed`);
    }
    this.isSending = false;
  }

  /** Whether it was delivered; undefined when the app ends. */
  private async insist(batch: readonly Outage[], config: WebhookConfig): Promise<boolean | undefined> {
    const id = randomUUID();
    const body = JSON.stringify({ id, events: batch });
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const problem = await this.post(id, body, config);
      if (problem === undefined) return true;
      if (this.ending.signal.aborted) return undefined;
      this.failures.inc();
      this.logger.warn(`Request ${attempt} of ${MAX_ATTEMPTS} to WEBHOOK_URL failed: ${problem}`);
      if (attempt < MAX_ATTEMPTS) await this.backOff(attempt);
    }
    return false;
  }

  /** Undefined when it was answered with 2xx. */
  private async post(id: string, body: string, { url, secret }: WebhookConfig): Promise<string | undefined> {
    const timestamp = String(Math.floor(Date.now() / 1_000));
    const signature = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');
    try {
      const response = await fetch(url, {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/json',
          'x-fedecks-delivery': id,
          'x-fedecks-timestamp': timestamp,
          'x-fedecks-signature': `sha256=${signature}`,
        },
        // It would carry what devices do to an address that nobody configured.
        redirect: 'manual',
        signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), this.ending.signal]),
      });
      await response.body?.cancel();
      return response.ok ? undefined : `status ${response.status}`;
    } catch (error) {
      const { cause } = error as { cause?: { code?: unknown } };
      return typeof cause?.code === 'string' ? cause.code : (error as Error).name;
    }
  }

  /** A random part, so that many nodes do not come back at once. */
  private async backOff(attempt: number): Promise<void> {
    const longest = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (attempt - 1));
    const delay = longest * (0.5 + Math.random() / 2);
    await sleep(delay, undefined, { ref: false, signal: this.ending.signal }).catch(() => undefined);
  }

  private drop(count: number, reason: string): void {
    this.events.inc({ result: 'dropped' }, count);
    this.logger.error(`${count} events for the webhook were dropped: ${reason}`);
  }
}
