import { BadRequestException } from '@nestjs/common';
import { type Term } from '@fedecks/nest/wire';

const MAX_SETTINGS = 50;
const MAX_NAME_CHARACTERS = 64;
const MAX_TEXT_CHARACTERS = 1_024;

/**
 * A change of settings: which ones exist, only the agent knows.
 * @throws {BadRequestException} for what no agent can take.
 */
export function checkedSettings(body: unknown): Term {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new BadRequestException(['settings must be an object, as {"telemetryIntervalMs": 60000}']);
  const entries = Object.entries(body);
  if (entries.length === 0 || entries.length > MAX_SETTINGS)
    throw new BadRequestException([`settings must have 1 to ${MAX_SETTINGS} fields`]);
  const problem = entries.map(([name, value]) => problemOf(name, value)).find((each) => each !== undefined);
  if (problem !== undefined) throw new BadRequestException([problem]);
  return body as Term;
}

function problemOf(name: string, value: unknown): string | undefined {
  if (name === '' || name.length > MAX_NAME_CHARACTERS)
    return `the name of a setting must have 1 to ${MAX_NAME_CHARACTERS} characters`;
  const isScalar = value === null || ['number', 'boolean'].includes(typeof value);
  const isText = typeof value === 'string' && value.length <= MAX_TEXT_CHARACTERS;
  if (isScalar || isText) return undefined;
  return `${name} must be null, a number, true, false, or text of at most ${MAX_TEXT_CHARACTERS} characters`;
}
