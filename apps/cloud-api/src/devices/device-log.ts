import { Injectable, Logger, ValidationPipe } from '@nestjs/common';
import {
  type ConnectedDevice,
  Device,
  DeviceId,
  type DisconnectCause,
  OnConnected,
  OnDisconnected,
  OnMessage,
  OnRawMessage,
  Payload,
} from '@fedecks/nest';
import { type Term } from '@fedecks/nest/wire';
import { toJson } from '../live/term-json.js';
import { summary, TelemetryDto } from './telemetry.dto.js';

const MAX_SHOWN = 160;

/** Handles what devices send: logs it in a line each, and answers a greeting. */
@Injectable()
export class DeviceLog {
  private readonly logger = new Logger('Devices');

  @OnConnected()
  connected(@Device() device: ConnectedDevice) {
    this.logger.log(`${shown(device.id)} connected from ${device.remoteAddress}`);
  }

  @OnMessage('telemetry')
  telemetry(@DeviceId() id: string, @Payload(new ValidationPipe()) reading: TelemetryDto) {
    this.logger.log(`${shown(id)} telemetry: ${summary(reading)}`);
  }

  @OnMessage('hello')
  hello(@DeviceId() id: string, @Payload() payload: Term) {
    this.logger.log(`${shown(id)} says hello: ${shown(payload)}`);
    return ['hi', 'there'];
  }

  @OnMessage()
  other(@DeviceId() id: string, @Payload() message: Term) {
    this.logger.log(`${shown(id)} sent ${shown(message)}`);
  }

  @OnRawMessage()
  raw(@DeviceId() id: string, @Payload() bytes: Uint8Array) {
    this.logger.log(`${shown(id)} sent ${bytes.length} raw bytes`);
  }

  @OnDisconnected()
  disconnected(@DeviceId() id: string, @Payload() { type, code }: DisconnectCause) {
    this.logger.log(`${shown(id)} disconnected: ${type} (${code})`);
  }
}

/** A device chooses what it sends and, with its id, part of every line: as JSON neither can begin a line of its own. */
function shown(term: Term): string {
  const text = JSON.stringify(toJson(term));
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
}
