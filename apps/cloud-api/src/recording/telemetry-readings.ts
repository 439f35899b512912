import { Float, type Term } from '@fedecks/nest/wire';
import { RETENTION_DAYS } from './retention.js';
import { storedText } from './stored-text.js';

const MAX_METRICS = 32;
const MAX_NAME_LENGTH = 64;
/** How many fields are looked at. */
const MAX_FIELDS = 256;
const MAX_AHEAD_MS = 5 * 60_000;
const DAY_MS = 86_400_000;
/** The fields of a list of three load averages. */
const LOADS = ['load1', 'load5', 'load15'] as const;

/** The numbers in the payload of a `telemetry` event, by name: at most 32, with names of at most 64 characters. */
export function numbersIn(payload: Term): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  if (!isFields(payload)) return numbers;
  for (const name of Object.keys(payload).slice(0, MAX_FIELDS)) {
    for (const [metric, term] of metricsIn(name, payload[name])) {
      const value = numberOf(term);
      if (value === undefined || metric.length === 0 || metric.length > MAX_NAME_LENGTH) continue;
      if (numbers.size >= MAX_METRICS) return numbers;
      numbers.set(storedText(metric), value);
    }
  }
  return numbers;
}

/**
 * When a reading was taken: when the device put it into its outbox, or else now. Undefined where that is too far in the
 * future, or longer ago than any reading is kept.
 */
export function timeOfReading(sentAt: Date | undefined, now = new Date()): Date | undefined {
  const at = sentAt ?? now;
  const aheadMs = at.getTime() - now.getTime();
  const isKept = aheadMs <= MAX_AHEAD_MS && -aheadMs < RETENTION_DAYS.readings_by_hour * DAY_MS;
  return isKept ? at : undefined;
}

function metricsIn(name: string, term: Term | undefined): readonly (readonly [string, Term | undefined])[] {
  if (name !== 'loadAverages') return [[name, term]];
  if (!Array.isArray(term) || term.length !== LOADS.length) return [];
  const averages = term as readonly Term[];
  return LOADS.map((metric, index) => [metric, averages[index]] as const);
}

function numberOf(term: Term | undefined): number | undefined {
  if (typeof term !== 'number' && typeof term !== 'bigint' && !(term instanceof Float)) return undefined;
  const value = Number(term instanceof Float ? term.value : term);
  return Number.isFinite(value) ? value : undefined;
}

/** A map with strings as keys. */
function isFields(term: Term): term is Readonly<Record<string, Term | undefined>> {
  if (typeof term !== 'object' || term === null) return false;
  const prototype: unknown = Object.getPrototypeOf(term);
  return prototype === Object.prototype || prototype === null;
}
