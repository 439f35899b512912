import { Injectable, Logger, ValidationPipe } from '@nestjs/common';
import {
  type ConnectedDevice,
  Device,
  type DisconnectCause,
  OnConnected,
  OnDisconnected,
  OnMessage,
  OnRawMessage,
  Payload,
} from '@fedecks/nest';
import { type Term } from '@fedecks/nest/wire';
import { toJson } from '../live/term-json.js';
import { LineLimit } from '../log/line-limit.js';
import { fieldsOf } from '../operations/log-fields.js';
import { summary, TelemetryDto } from './telemetry.dto.js';
import { TelemetryFields } from './telemetry-fields.pipe.js';

const MAX_SHOWN = 160;
/** Lines per 10 s. The log is for orientation, not a record of all messages. */
const MESSAGE_LINES = { ofAll: 500, ofEach: 10 } as const;
/** A higher limit, because a whole fleet reconnects at once. */
const CONNECTION_LINES = { ofAll: 1_000, ofEach: 10 } as const;

/** Handles what devices send: logs it in a line each, within limits, and answers a greeting. */
@Injectable()
export class DeviceLog {
  private readonly logger = new Logger('Devices');
  private readonly messages = new LineLimit(this.logger, 'messages of devices', MESSAGE_LINES);
  private readonly connections = new LineLimit(this.logger, 'connections of devices', CONNECTION_LINES);

  @OnConnected()
  connected(@Device() device: ConnectedDevice) {
    const { id, remoteAddress } = device;
    if (this.connections.admit(id))
      this.logger.log(`${shown(id)} connected from ${visible(remoteAddress)}`, fieldsOf(device));
  }

  @OnMessage('telemetry')
  telemetry(
    @Device() device: ConnectedDevice,
    @Payload(TelemetryFields, new ValidationPipe()) reading: TelemetryDto,
  ) {
    if (this.messages.admit(device.id))
      this.logger.log(`${shown(device.id)} telemetry: ${summary(reading)}`, fieldsOf(device));
  }

  @OnMessage('hello')
  hello(@Device() device: ConnectedDevice, @Payload() payload: Term) {
    if (this.messages.admit(device.id))
      this.logger.log(`${shown(device.id)} says hello: ${shown(payload)}`, fieldsOf(device));
    return ['hi', 'there'];
  }

  @OnMessage()
  other(@Device() device: ConnectedDevice, @Payload() message: Term) {
    if (this.messages.admit(device.id))
      this.logger.log(`${shown(device.id)} sent ${shown(message)}`, fieldsOf(device));
  }

  @OnRawMessage()
  raw(@Device() device: ConnectedDevice, @Payload() bytes: Uint8Array) {
    if (this.messages.admit(device.id))
      this.logger.log(`${shown(device.id)} sent ${bytes.length} raw bytes`, fieldsOf(device));
  }

  @OnDisconnected()
  disconnected(@Device() device: ConnectedDevice, @Payload() { type, code }: DisconnectCause) {
    if (this.connections.admit(device.id))
      this.logger.log(`${shown(device.id)} disconnected: ${type} (${code})`, fieldsOf(device));
  }
}

/** The beginning of a term. A device chooses what it sends and, with its id, part of every line. */
function shown(term: Term): string {
  const text = visible(JSON.stringify(toJson(term, MAX_SHOWN)));
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
}

/** Escapes what would begin a line of its own, or turn the text around or invisible. */
function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
}
