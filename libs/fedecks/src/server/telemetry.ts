import { channel } from 'node:diagnostics_channel';
import { isPromise } from '../faults/index.js';
import { type DeliveryControl, eventOf, type RequestControl, type Term } from '../wire/internal.js';
import { type BackplaneHealth, type PushResult } from './backplane.js';
import { type DeviceDeliveryState } from './deliveries/device-delivery.js';
import { type ConnectedDevice, type DisconnectCause, type SocketError } from './device.js';
import { type LimitedLog } from './limited-log.js';
import { type MetricName, type MetricsRecorder } from './metrics.js';

const CHANNELS = {
  upgrade: channel('fedecks:upgrade'),
  connected: channel('fedecks:connected'),
  received: channel('fedecks:received'),
  handled: channel('fedecks:handled'),
  sent: channel('fedecks:sent'),
  disconnected: channel('fedecks:disconnected'),
  error: channel('fedecks:error'),
};

/** The identity of a connection in logs and channels. */
export interface Observed {
  readonly device: ConnectedDevice;
  /** The connection number in this process. */
  readonly number: number;
}

/** What an upgrade has presented; `unread`: it was answered before its header was read. */
export type PresentedType = 'token' | 'credentials' | 'invalid' | 'unread';

/** The kinds of messages to a device. */
export type SentKind = 'reply' | 'push' | 'token' | 'request' | 'ack' | 'delivery';

const MAX_NAME_CHARS = 64;
const LAST_CODE_OF_RFC = 1015;

/**
 * Observability of an endpoint: debug log lines, `node:diagnostics_channel` channels, and
 * metrics. Never payloads, credentials or tokens. Without observers, a message only costs a call of {@link isWatched}.
 */
export class Telemetry {
  /** The app's metrics recorder, if any. */
  recorder: MetricsRecorder | undefined;
  private debugging = false;
  private recorderHasFailed = false;

  constructor(
    private readonly endpoint: string,
    private readonly log: Pick<LimitedLog, 'debug' | 'error'>,
    /** Whether level debug is enabled. Called once per upgrade. */
    private readonly isDebugging: () => boolean,
  ) {}

  /** Whether a log, recorder or channel observes messages. */
  get isWatched(): boolean {
    return (
      this.debugging ||
      this.recorder !== undefined ||
      CHANNELS.received.hasSubscribers ||
      CHANNELS.handled.hasSubscribers ||
      CHANNELS.sent.hasSubscribers
    );
  }

  /** Whether a recorder counts. */
  get isCounting(): boolean {
    return this.recorder !== undefined;
  }

  /** @param status of the answer, 101 for a connection; undefined if the peer disconnected before it. */
  onUpgrade(
    deviceId: string | null,
    remoteAddress: string,
    status: number | undefined,
    presented: PresentedType,
  ): void {
    this.debugging = this.isDebugging();
    const { endpoint } = this;
    if (CHANNELS.upgrade.hasSubscribers)
      CHANNELS.upgrade.publish({ endpoint, deviceId, remoteAddress, status, presented });
    const answer = status === undefined ? 'gone' : String(status);
    this.count('fedecks_upgrades_total', { status: answer, presented });
    if (!this.debugging) return;
    const who = deviceId === null ? 'a device' : `device ${JSON.stringify(deviceId)}`;
    const what = status === undefined ? 'the peer disconnected before the answer' : `HTTP status ${status}`;
    this.log.debug(() => `${who}: upgrade from ${remoteAddress}: ${what}`);
  }

  onConnected({ device, number }: Observed): void {
    if (CHANNELS.connected.hasSubscribers) CHANNELS.connected.publish({ device, connection: number });
    this.count('fedecks_connections_opened_total', {});
  }

  /** @param handler `Class.method`, or undefined if none matches. */
  onReceived(
    { device, number }: Observed,
    message: Term | Uint8Array,
    bytes: number,
    handler?: string,
  ): void {
    const event = nameOfEvent(message);
    if (CHANNELS.received.hasSubscribers)
      CHANNELS.received.publish({ device, connection: number, event, bytes, handler });
    this.count('fedecks_messages_received_total', { handler: handler ?? 'none' });
    this.count('fedecks_received_bytes_total', {}, bytes);
    if (this.debugging)
      this.debug(
        device,
        number,
        () => `received ${describeEvent(event)}, ${bytes} bytes, for ${handler ?? 'no handler'}`,
      );
  }

  onHandled({ device, number }: Observed, handler: string, durationMs: number): void {
    if (CHANNELS.handled.hasSubscribers)
      CHANNELS.handled.publish({ device, connection: number, handler, durationMs });
    this.record((recorder) =>
      recorder.observe('fedecks_handler_seconds', { endpoint: this.endpoint, handler }, durationMs / 1_000),
    );
  }

  /**
   * Called after the write, so that a message sent by a subscriber follows it. @param bytes without the frame header.
   */
  onSent({ device, number }: Observed, kind: SentKind, bytes: number, message?: Term): void {
    const event = message === undefined ? undefined : nameOfEvent(message);
    if (CHANNELS.sent.hasSubscribers)
      CHANNELS.sent.publish({ device, connection: number, kind, event, bytes });
    this.count('fedecks_messages_sent_total', { kind });
    this.count('fedecks_sent_bytes_total', {}, bytes);
    if (this.debugging)
      this.debug(
        device,
        number,
        () => `${kind}${event === undefined ? '' : ` ${describeEvent(event)}`}, ${bytes} bytes`,
      );
  }

  onDisconnected({ device, number }: Observed, cause: DisconnectCause): void {
    if (CHANNELS.disconnected.hasSubscribers)
      CHANNELS.disconnected.publish({ device, connection: number, cause });
    const { type, code } = cause;
    // A device may send any code, and each code would create a new time series.
    const isDevices = type === 'closed_by_device' && code > LAST_CODE_OF_RFC;
    this.count('fedecks_connections_closed_total', { cause: type, code: isDevices ? 'other' : String(code) });
    if (this.debugging) this.debug(device, number, () => `closed with ${code}: ${type}`);
  }

  onMailboxFull(): void {
    this.count('fedecks_mailbox_pauses_total', {});
  }

  onSendBufferFull(): void {
    this.count('fedecks_send_buffer_pauses_total', {});
  }

  onPushed(result: PushResult | 'failed'): void {
    this.count('fedecks_pushes_total', { result });
  }

  /** @param outcome `answered`, `aborted`, or the code of an error. */
  onRequestEnded(outcome: string): void {
    this.count('fedecks_requests_total', { outcome });
  }

  /** What a device is sent about a request of its own. */
  onAnswer(control: RequestControl): void {
    if (control.type === 'error') this.count('fedecks_device_requests_total', { outcome: control.code });
    else if (control.type === 'reply' || control.type === 'complete')
      this.count('fedecks_device_requests_total', { outcome: 'answered' });
  }

  onDeliveryState(state: DeviceDeliveryState): void {
    this.count('fedecks_deliveries_total', { state });
  }

  /** What a device is sent about a delivery of its own. */
  onDeliveryAnswer(control: DeliveryControl): void {
    if (control.type === 'ack') this.count('fedecks_device_deliveries_total', { answer: 'acknowledged' });
    else if (control.type === 'nack') this.count('fedecks_device_deliveries_total', { answer: control.code });
  }

  onToken(reason: 'requested' | 'refresh'): void {
    this.count('fedecks_tokens_total', { reason });
  }

  onBackplaneChange({ status }: BackplaneHealth): void {
    this.count('fedecks_backplane_changes_total', { status });
  }

  onError(error: SocketError): void {
    if (CHANNELS.error.hasSubscribers) CHANNELS.error.publish({ endpoint: this.endpoint, ...error });
    this.count('fedecks_errors_total', { type: error.type });
  }

  private debug({ id }: ConnectedDevice, number: number, text: () => string): void {
    this.log.debug(() => `device ${JSON.stringify(id)}, connection ${number}: ${text()}`);
  }

  private count(name: MetricName, labels: Readonly<Record<string, string>>, by = 1): void {
    if (!this.recorder) return;
    this.record((recorder) => recorder.count(name, { endpoint: this.endpoint, ...labels }, by));
  }

  private record(act: (recorder: MetricsRecorder) => unknown): void {
    if (!this.recorder) return;
    try {
      const result = act(this.recorder);
      // A method may be async despite its type, and an unhandled rejection would end the process.
      if (isPromise(result)) result.then(undefined, (error: unknown) => this.onRecorderFailure(error));
    } catch (error) {
      this.onRecorderFailure(error);
    }
  }

  private onRecorderFailure(error: unknown): void {
    if (!this.recorderHasFailed) this.log.error('The metrics recorder failed', error);
    this.recorderHasFailed = true;
  }
}

/** Undefined if the message is not an event. */
function nameOfEvent(message: Term | Uint8Array): string | undefined {
  return message instanceof Uint8Array ? undefined : eventOf(message)?.name.slice(0, MAX_NAME_CHARS);
}

function describeEvent(event: string | undefined): string {
  return event === undefined ? 'a message' : `event ${JSON.stringify(event)}`;
}
