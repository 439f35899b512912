/** The app's metrics recorder, for any metrics library. Its errors are logged. */
export interface MetricsRecorder {
  /** Adds to a counter. */
  count(name: string, labels: MetricLabels, by: number): void;
  /** Adds a value to a histogram. */
  observe(name: string, labels: MetricLabels, value: number): void;
}

/** The labels of a metric. Their values come from a small set, never from a device. */
export type MetricLabels = Readonly<Record<string, string>>;

/** The declaration of a metric, as metrics libraries need it. */
export interface MetricDefinition {
  /** Named as in Prometheus: in seconds or bytes, counters end in `_total`. */
  readonly name: string;
  /** The method of the recorder: `count` for a counter, `observe` for a histogram. */
  readonly type: 'counter' | 'histogram';
  /** A description. */
  readonly help: string;
  /** The names of its labels. */
  readonly labels: readonly string[];
}

function counter<Name extends string>(name: Name, help: string, ...labels: string[]) {
  return { name, type: 'counter', help, labels: ['endpoint', ...labels] } as const;
}

/** All metrics, for a recorder that must declare them. */
export const FEDECKS_METRICS = [
  counter(
    'fedecks_upgrades_total',
    'Upgrades, by HTTP status of the answer, and by what they presented: token, credentials, invalid or unread.',
    'status',
    'presented',
  ),
  counter('fedecks_connections_opened_total', 'Connections opened.'),
  counter(
    'fedecks_connections_closed_total',
    'Connections closed, by cause and close code.',
    'cause',
    'code',
  ),
  counter('fedecks_messages_received_total', 'Messages from devices, by handler.', 'handler'),
  counter('fedecks_received_bytes_total', 'Bytes of messages from devices.'),
  counter(
    'fedecks_messages_sent_total',
    'Messages to devices: reply, push, token, request, ack or delivery.',
    'kind',
  ),
  counter('fedecks_sent_bytes_total', 'Bytes of messages to devices.'),
  counter('fedecks_mailbox_pauses_total', 'Times a device was not read on, because its mailbox was full.'),
  counter(
    'fedecks_send_buffer_pauses_total',
    'Times the values of a handler waited, because the device did not read.',
  ),
  counter('fedecks_pushes_total', 'Calls of push, by result: sent, offline or failed.', 'result'),
  counter(
    'fedecks_requests_total',
    'Requests and streams to devices, by outcome: answered, aborted, or the code of the error.',
    'outcome',
  ),
  counter(
    'fedecks_device_requests_total',
    'Requests of devices that were answered, by outcome: answered, or the code of the error.',
    'outcome',
  ),
  counter(
    'fedecks_deliveries_total',
    'Messages kept for devices, by the state they came to: queued, sent, done, rejected, expired or cancelled.',
    'state',
  ),
  counter(
    'fedecks_device_deliveries_total',
    'Deliveries of devices, by answer: acknowledged, or the code of the nack.',
    'answer',
  ),
  counter('fedecks_tokens_total', 'Tokens sent, by reason: requested or refresh.', 'reason'),
  counter('fedecks_backplane_changes_total', 'Changes of health of the backplane: up or degraded.', 'status'),
  counter(
    'fedecks_errors_total',
    'Errors that @OnSocketError receives, by type: undelivered, handler_failed ...',
    'type',
  ),
  {
    name: 'fedecks_handler_seconds',
    type: 'histogram',
    help: 'Duration of message handlers, in seconds.',
    labels: ['endpoint', 'handler'],
  },
] as const satisfies readonly MetricDefinition[];

/** The name of a metric. */
export type MetricName = (typeof FEDECKS_METRICS)[number]['name'];
