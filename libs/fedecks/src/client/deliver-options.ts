import { unknownOption } from '../options/index.js';
import { type DeliverOptions } from './delivery.js';

const NAMES = ['ttlMs', 'key', 'lane', 'durable'];
const WEEK_MS = 7 * 24 * 60 * 60 * 1_000;

/** The options of `deliver` with their defaults. The store checks how long a lane and a key may be. */
export type ResolvedDeliverOptions = Required<Omit<DeliverOptions, 'key'>> & Pick<DeliverOptions, 'key'>;

/**
 * Checks the types, for callers without a compiler: a store may take a text for a number.
 * @throws {TypeError} when they are no object, or one has the wrong type.
 * @throws {RangeError} for any other wrong option.
 */
export function resolveDeliverOptions(given: DeliverOptions): ResolvedDeliverOptions {
  if (typeof (given as unknown) !== 'object' || (given as unknown) === null)
    throw new TypeError('The options of deliver() must be an object, as { ttlMs: 60_000 }.');
  const unknown = unknownOption(given, NAMES);
  if (unknown !== undefined) throw new RangeError(`deliver(event, payload, options): ${unknown}.`);
  const { ttlMs = WEEK_MS, key, lane = 'default', durable = 'disk' } = given;
  if (typeof ttlMs !== 'number' || !(ttlMs > 0))
    throw new RangeError(`ttlMs must be a number above 0, not ${shown(ttlMs)}.`);
  if (typeof lane !== 'string') throw new TypeError(`'lane' must be a string, not ${shown(lane)}.`);
  if (key !== undefined && typeof key !== 'string')
    throw new TypeError(`'key' must be a string, not ${shown(key)}.`);
  if (!['memory', 'disk', 'power'].includes(durable))
    throw new RangeError(`'durable' must be 'memory', 'disk' or 'power', not ${shown(durable)}.`);
  return { ttlMs, key, lane, durable };
}

/** What was given, if that is short: options may come from a file. */
function shown(given: unknown): string {
  if (typeof given === 'string') return given.length > 20 ? 'this text' : `'${given}'`;
  return typeof given === 'number' || given === null ? String(given) : typeof given;
}
