import { type ArgumentMetadata, BadRequestException, Injectable, ValidationPipe } from '@nestjs/common';

/** Deeper than any body or query of the API; class-transformer calls itself for each level. */
const MAX_DEPTH = 16;
const LONE_SURROGATE = /\p{Cs}/u;

/**
 * Checks a body or a query against its class, and makes it one: 400 names the field that is wrong or unknown. Text that
 * Postgres cannot keep is refused, too.
 */
@Injectable()
export class Validated extends ValidationPipe {
  constructor() {
    super({ transform: true, whitelist: true, forbidNonWhitelisted: true });
  }

  override async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    const problem = problemOf(value, metadata.type, MAX_DEPTH);
    if (problem !== undefined) throw new BadRequestException([problem]);
    // No body at all would pass as one of another class.
    return (await super.transform(value ?? {}, metadata)) as unknown;
  }
}

/** What is wrong, with the field's name; undefined: nothing. */
function problemOf(value: unknown, field: string, room: number): string | undefined {
  if (typeof value === 'string') {
    if (value.includes('\0')) return `${field} must not contain the character NUL`;
    return LONE_SURROGATE.test(value) ? `${field} must be valid Unicode` : undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  if (room === 0) return `${field} must not be nested that deeply`;
  for (const [key, each] of Object.entries(value)) {
    const problem =
      problemOf(key, `the name of a field`, 0) ??
      problemOf(each, Array.isArray(value) ? field : key, room - 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
