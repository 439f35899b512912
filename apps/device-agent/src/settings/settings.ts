import { type LogLevel } from '@nestjs/common';
import { type Field, problemsOf, wholeNumber } from '../commands/fields.js';
import { INTERVAL } from '../config.js';

/** What the cloud may change of a running agent. */
export interface Settings {
  /** The time from one telemetry to the next, in milliseconds. */
  readonly telemetryIntervalMs: number;
  /** The least important level that is logged. */
  readonly logLevel: keyof typeof LOG_LEVELS;
}

/** What to change; null stands for the value that the configuration or the agent has for it. */
export type SettingsChange = { readonly [Name in keyof Settings]?: Settings[Name] | null };

/** Nest's levels that are logged at each level of the agent. */
export const LOG_LEVELS = {
  error: ['fatal', 'error'],
  warn: ['fatal', 'error', 'warn'],
  log: ['fatal', 'error', 'warn', 'log'],
  debug: ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'],
} as const satisfies Readonly<Record<string, readonly LogLevel[]>>;

const FIELDS: Readonly<Record<keyof Settings, Field>> = {
  telemetryIntervalMs: orNull(wholeNumber(INTERVAL.minMs, INTERVAL.maxMs, 'milliseconds')),
  logLevel: orNull({
    isValid: (value) => typeof value === 'string' && Object.hasOwn(LOG_LEVELS, value),
    must: `one of ${Object.keys(LOG_LEVELS).join(', ')}`,
  }),
};

function orNull({ isValid, must }: Field): Field {
  return { isValid: (value) => value === null || isValid(value), must: `${must}; or null, for the default` };
}

/** Everything that is wrong with a change, a sentence each. */
export function problemsOfChange(change: unknown): string[] {
  return problemsOf(change, FIELDS);
}
