import { type BeforeApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import {
  type ConnectedDevice,
  type ConnectionChange,
  type Fedecks,
  type UpstreamMessage,
} from '@fedecks/nest';
import { eventOf, type Term } from '@fedecks/nest/wire';
import { type Subscription } from 'rxjs';
import { type BatchWriter } from './batch-writer.js';
import { ConnectedDevices } from './connected-devices.js';
import { type ConnectionRow, type DeviceRow, mergeDevices } from './recorded-rows.js';
import { type SentMessages } from './sent-messages.js';
import { storedJson, storedText } from './stored-text.js';
import { numbersIn, timeOfReading } from './telemetry-readings.js';

const MAX_BODY_BYTES = 4 * 1_024;
const MAX_HELLO_BYTES = 8 * 1_024;
const MAX_EVENT_LENGTH = 128;
const MAX_VERSION_LENGTH = 64;
/** About what a row takes besides its texts, in memory and on the way. */
const ROW_BYTES = 200;

/** Records what devices do, and what operators send them: puts rows in for the {@link BatchWriter}. */
export class Recorder implements OnModuleInit, BeforeApplicationShutdown {
  /** Those of this node. */
  readonly connected = new ConnectedDevices();
  private readonly subscriptions: Subscription[] = [];

  constructor(
    private readonly fedecks: Fedecks,
    private readonly sent: SentMessages,
    private readonly writer: BatchWriter,
  ) {}

  onModuleInit(): void {
    this.subscriptions.push(
      this.fedecks.connections$.subscribe((change) => this.onChange(change)),
      this.fedecks.messages$.subscribe((message) => this.onMessage(message)),
      this.sent.sent$.subscribe(({ deviceId, event, payload }) =>
        this.putMessage(storedText(deviceId), 'down', event, payload),
      ),
    );
  }

  /** The devices have been closed, and that is recorded: Nest drains them before. */
  async beforeApplicationShutdown(): Promise<void> {
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    await this.writer.end();
  }

  /** Writes the state of a device of this node, and its connections, again. @param deviceId as in the database. */
  rewrite(deviceId: string): void {
    const row = this.connected.row(deviceId);
    if (!row) return;
    this.putDevice(row);
    for (const device of this.connected.connectionsOf(deviceId)) this.putConnection(device);
  }

  private onChange(change: ConnectionChange): void {
    const { device } = change;
    if (change.type === 'connected') {
      this.connected.add(device);
      const row = this.connected.row(storedText(device.id));
      if (row) this.putDevice(row);
      return this.putConnection(device);
    }
    const { type: cause, code } = change.cause;
    // A clock that is set back must not end it before it began.
    const wentAt = new Date(Math.max(Date.now(), device.since));
    const row = this.connected.remove(device, cause, wentAt);
    if (row) this.putDevice(row);
    this.putConnection(device, { wentAt, cause, code });
  }

  private onMessage({ device, message, delivery }: UpstreamMessage): void {
    const deviceId = storedText(device.id);
    const event = message instanceof Uint8Array ? undefined : eventOf(message);
    this.putMessage(deviceId, 'up', event?.name ?? null, event ? event.payload : message);
    if (event?.name === 'telemetry') this.putReadings(deviceId, event.payload, delivery?.sentAt);
    const row = this.connected.see(deviceId, new Date());
    if (event?.name === 'hello') this.putHello(deviceId, event.payload);
    else if (row) this.putDevice(row);
  }

  private putHello(deviceId: string, payload: Term): void {
    const row = this.connected.row(deviceId);
    if (!row) return;
    const hello = storedJson(payload, MAX_HELLO_BYTES);
    this.putDevice({ ...row, hello, agentVersion: versionIn(payload) });
  }

  private putDevice(row: DeviceRow): void {
    this.writer.putKeyed('devices', row.id, row, ROW_BYTES + 2 * (row.hello?.length ?? 0), mergeDevices);
  }

  private putConnection(
    { id, since, remoteAddress }: ConnectedDevice,
    end: Pick<ConnectionRow, 'wentAt' | 'cause' | 'code'> = { wentAt: null, cause: null, code: null },
  ): void {
    const deviceId = storedText(id);
    const row = { deviceId, cameAt: new Date(since), address: storedText(remoteAddress), ...end };
    this.writer.putKeyed('connections', `${since} ${deviceId}`, row, ROW_BYTES, (_older, newer) => newer);
  }

  private putMessage(
    deviceId: string,
    direction: 'up' | 'down',
    name: string | null,
    term: Term | Uint8Array,
  ): void {
    const event = name === null ? null : storedText(name, MAX_EVENT_LENGTH);
    const body = storedJson(term, MAX_BODY_BYTES);
    const row = { deviceId, at: new Date(), direction, event, body };
    this.writer.put('messages', row, ROW_BYTES + 2 * body.length);
  }

  private putReadings(deviceId: string, payload: Term, sentAt: Date | undefined): void {
    const at = timeOfReading(sentAt);
    if (!at) return;
    for (const [metric, value] of numbersIn(payload))
      this.writer.put('readings', { deviceId, metric, at, value }, ROW_BYTES);
  }
}

function versionIn(payload: Term): string | null {
  const { version } = (payload ?? {}) as { readonly version?: unknown };
  return typeof version === 'string' ? storedText(version, MAX_VERSION_LENGTH) : null;
}
