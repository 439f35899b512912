/** The app's metrics recorder, for any metrics library. Its errors are logged. */
export interface MetricsRecorder {
  /** Adds to a counter. */
  count(name: string, labels: MetricLabels, by: number): void;
  /** Adds a value to a histogram. */
  observe(name: string, labels: MetricLabels, value: number): void;
}

/** The labels of a figure, with values out of a small set: none is taken from what a device sends. */
export type MetricLabels = Readonly<Record<string, string>>;

/** A figure that is recorded, as libraries want it declared. */
export interface MetricDefinition {
  /** As in Prometheus: in seconds or bytes, counters end in `_total`. */
  readonly name: string;
  /** Which method of the recorder it is given to: `count`, or `observe`. */
  readonly type: 'counter' | 'histogram';
  /** What it says, in a sentence. */
  readonly help: string;
  /** The names of its labels. */
  readonly labels: readonly string[];
}

function counter<Name extends string>(name: Name, help: string, ...labels: string[]) {
  return { name, type: 'counter', help, labels: ['endpoint', ...labels] } as const;
}

/** All figures there are, for a recorder that has to declare them. */
export const FEDECKS_METRICS = [
  counter('fedecks_upgrades_total', 'Upgrades by the HTTP status of the answer.', 'status'),
  counter('fedecks_connections_opened_total', 'Connections that were opened.'),
  counter(
    'fedecks_connections_closed_total',
    'Connections that have ended, by cause and close code.',
    'cause',
    'code',
  ),
  counter(
    'fedecks_messages_received_total',
    'Messages of devices, by the handler that takes them.',
    'handler',
  ),
  counter('fedecks_received_bytes_total', 'Bytes of the messages of devices.'),
  counter('fedecks_messages_sent_total', 'Messages to devices: reply, push, token or request.', 'kind'),
  counter('fedecks_sent_bytes_total', 'Bytes of the messages to devices.'),
  counter(
    'fedecks_errors_total',
    'What @OnSocketError receives, by type: undelivered, handler_failed ...',
    'type',
  ),
  {
    name: 'fedecks_handler_seconds',
    type: 'histogram',
    help: 'How long handlers of messages took, in seconds.',
    labels: ['endpoint', 'handler'],
  },
] as const satisfies readonly MetricDefinition[];

/** The name of a figure. */
export type MetricName = (typeof FEDECKS_METRICS)[number]['name'];
