import { unknownOption } from '../../options/index.js';
import { MAX_DEVICE_ID_BYTES } from '../../wire/internal.js';

/** How a message for a device is kept. */
export interface DeviceDeliverOptions {
  /** How long the message means something, in milliseconds: up to 30 days. @default 7 days */
  readonly ttlMs?: number | undefined;
  /**
   * A newer message takes the place of one in its lane with the same key that was not sent yet. 1 to 256 bytes.
   * @default none
   */
  readonly key?: string | undefined;
  /**
   * Order holds within a lane, and a lane does not wait for another. 1 to 64 bytes; messages of at most 8 lanes wait for a
   * device.
   * @default 'default'
   */
  readonly lane?: string | undefined;
}

const DAY_MS = 24 * 60 * 60 * 1_000;
const MAX_TTL_MS = 30 * DAY_MS;

/** @throws {RangeError} that names all that is wrong. */
export function resolveDeliverOptions(
  deviceId: string,
  event: unknown,
  options: DeviceDeliverOptions = {},
): {
  readonly event: string;
  readonly ttlMs: number;
  readonly key: string | undefined;
  readonly lane: string;
} {
  const problems: string[] = [];
  const isObject = typeof (options as unknown) === 'object' && (options as unknown) !== null;
  if (!isObject) problems.push('the options must be an object, as { ttlMs: 60_000 }');
  const given = isObject ? options : {};
  const unknown = unknownOption(given, ['ttlMs', 'key', 'lane']);
  if (unknown !== undefined) problems.push(unknown);
  const { ttlMs = 7 * DAY_MS, key, lane = 'default' } = given;
  if (deviceId === '' || Buffer.byteLength(deviceId) > MAX_DEVICE_ID_BYTES)
    problems.push(`the device id must have 1 to ${MAX_DEVICE_ID_BYTES} bytes, as no device has another`);
  if (!isText(event, 256)) problems.push('the event must be a string of 1 to 256 bytes');
  if (typeof ttlMs !== 'number' || !(ttlMs > 0 && ttlMs <= MAX_TTL_MS))
    problems.push("'ttlMs' must be a number above 0, at most 2,592,000,000 (30 days)");
  if (key !== undefined && !isText(key, 256)) problems.push("'key' must be a string of 1 to 256 bytes");
  if (!isText(lane, 64)) problems.push("'lane' must be a string of 1 to 64 bytes");
  if (problems.length > 0)
    throw new RangeError(`deliver(deviceId, event, payload, options): ${problems.join('; ')}.`);
  return { event: event as string, ttlMs, key, lane };
}

/** As the queue keeps it, in JSON: a control character takes six bytes there. */
function isText(value: unknown, maxBytes: number): boolean {
  return (
    typeof value === 'string' && value !== '' && Buffer.byteLength(JSON.stringify(value)) - 2 <= maxBytes
  );
}
