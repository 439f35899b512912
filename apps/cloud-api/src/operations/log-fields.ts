import { subscribe } from 'node:diagnostics_channel';
import { type ConnectedDevice } from '@fedecks/nest';

/** What a log line is about, for loggers with fields. Given to Nest's `Logger` after the message. */
export class LogFields {
  constructor(
    readonly deviceId: string,
    /** The number of the connection in this process. */
    readonly connection: number | undefined,
  ) {}
}

/** The library tells the number of a connection to its channels only. */
const numbers = new WeakMap<ConnectedDevice, number>();
subscribe('fedecks:connected', (message) => {
  const { device, connection } = message as { device: ConnectedDevice; connection: number };
  numbers.set(device, connection);
});

/** The fields of a line about a device. */
export function fieldsOf(device: ConnectedDevice): LogFields {
  return new LogFields(device.id, numbers.get(device));
}
