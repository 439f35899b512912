import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type ConnectedDevice, type DisconnectCause } from './device.js';
import { Telemetry } from './telemetry.js';

const log = { debug: () => undefined, error: () => undefined };
const device: ConnectedDevice = {
  id: 'nerves-242a',
  remoteAddress: '',
  claims: undefined,
  endpoint: '/fedecks',
  since: 0,
};

describe('Telemetry', () => {
  it.each<[DisconnectCause, string]>([
    [{ type: 'closed_by_device', code: 1000 }, '1000'],
    [{ type: 'closed_by_device', code: 4999 }, 'other'],
    [{ type: 'revoked', code: 4150 }, '4150'],
  ])('counts an unknown close code of a device as "other": %j', (cause, code) => {
    const counted: unknown[] = [];
    const telemetry = new Telemetry('/fedecks', log, () => false);
    telemetry.recorder = { count: (...given) => counted.push(given), observe: () => undefined };
    telemetry.onDisconnected({ device, number: 1 }, cause);
    const labels = { endpoint: '/fedecks', cause: cause.type, code };
    expect(counted).toEqual([['fedecks_connections_closed_total', labels, 1]]);
  });

  it('is active for messages only with a subscriber, and checks the log level at each upgrade', () => {
    let level = false;
    const telemetry = new Telemetry('/fedecks', log, () => level);
    expect(telemetry.isWatched).toBe(false);
    level = true;
    expect(telemetry.isWatched).toBe(false);
    telemetry.onUpgrade(null, '', 101, 'token');
    expect(telemetry.isWatched).toBe(true);
    level = false;
    telemetry.onUpgrade(null, '', 101, 'token');
    expect(telemetry.isWatched).toBe(false);
    telemetry.recorder = { count: () => undefined, observe: () => undefined };
    expect(telemetry.isWatched).toBe(true);
  });

  it.each(['received', 'handled', 'sent'])('is watched where only this channel is: %s', (name) => {
    const telemetry = new Telemetry('/fedecks', log, () => false);
    const listener = (): void => undefined;
    subscribe(`fedecks:${name}`, listener);
    expect(telemetry.isWatched).toBe(true);
    unsubscribe(`fedecks:${name}`, listener);
    expect(telemetry.isWatched).toBe(false);
  });
});
