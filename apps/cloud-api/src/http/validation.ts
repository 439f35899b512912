import { applyDecorators } from '@nestjs/common';
import { Transform } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayUnique,
  IsArray,
  IsByteLength,
  IsDate,
  Matches,
  MaxDate,
  MinDate,
} from 'class-validator';

/** How many tags a device may have. */
export const MAX_TAGS = 50;
const MAX_TAG_BYTES = 64;
/** Where people type tags, and in CSV, commas are between them. */
const TAG = /^[^\s,\p{Cc}]([^,\p{Cc}]*[^\s,\p{Cc}])?$/u;
const TAG_RULE = 'no comma and no control character, and no space at its ends';

const ISO_8601 = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/;
const EARLIEST = new Date('1970-01-01T00:00:00Z');
const LATEST = new Date('9999-12-31T00:00:00Z');

/** A time in ISO 8601 with a zone, or a date in UTC; read as a `Date`. */
export function IsTime(): PropertyDecorator {
  return applyDecorators(
    Transform(({ value }: { value: unknown }) =>
      typeof value === 'string' && ISO_8601.test(value) ? new Date(value) : value,
    ),
    IsDate({ message: '$property must be a time, as 2026-01-31T12:00:00Z' }),
    MinDate(EARLIEST),
    MaxDate(LATEST),
  );
}

/** A tag. */
export function IsTag(): PropertyDecorator {
  return applyDecorators(
    IsByteLength(1, MAX_TAG_BYTES),
    Matches(TAG, { message: `$property must have ${TAG_RULE}` }),
  );
}

/** A list of tags. */
export function AreTags(): PropertyDecorator {
  return applyDecorators(
    IsArray(),
    ArrayMaxSize(MAX_TAGS),
    ArrayUnique(),
    IsByteLength(1, MAX_TAG_BYTES, { each: true }),
    Matches(TAG, { each: true, message: `$property must be tags: each has ${TAG_RULE}` }),
  );
}

/** A field of a query that may be repeated: always a list. */
export function Repeatable(): PropertyDecorator {
  return Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? [value] : value));
}
