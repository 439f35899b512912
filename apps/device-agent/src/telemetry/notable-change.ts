import { type Term } from '@fedecks/nest/wire';
import { type Telemetry } from './collector.js';

/** What the temperature may change by, in degrees, before it is news. */
const DEGREES = 5;
/** What free memory or disk may change by, as a part of all there is. */
const SHARE = 0.1;
/** What the load of the last minute may change by, and by which factor. */
const LOAD = 1;
const LOAD_FACTOR = 2;

/** Whether a device fares so differently that its cloud should hear of it before the interval has passed. */
export function isNotable(before: Telemetry, now: Telemetry): boolean {
  return (
    (before['temperatureCelsius'] === undefined) !== (now['temperatureCelsius'] === undefined) ||
    Math.abs(difference(before, now, 'temperatureCelsius')) >= DEGREES ||
    Math.abs(difference(before, now, 'memoryAvailableBytes')) >= SHARE * number(now['memoryTotalBytes']) ||
    Math.abs(difference(before, now, 'diskFreeBytes')) >= SHARE * number(now['diskTotalBytes']) ||
    isOtherLoad(load(before), load(now))
  );
}

function isOtherLoad(before: number, now: number): boolean {
  const [low, high] = before < now ? [before, now] : [now, before];
  return high - low >= LOAD && high >= low * LOAD_FACTOR;
}

/** Of the last minute. */
function load({ loadAverages }: Telemetry): number {
  return Array.isArray(loadAverages) ? number((loadAverages as readonly Term[])[0]) : NaN;
}

/** NaN, which compares with nothing, where one of them was not measured. */
function difference(before: Telemetry, now: Telemetry, name: string): number {
  return number(now[name]) - number(before[name]);
}

function number(term: Term | undefined): number {
  return typeof term === 'number' ? term : NaN;
}
