import { applyDecorators, BadRequestException, type PipeTransform } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import { Matches } from 'class-validator';

const NAME = /^[\p{L}\p{N}][\p{L}\p{M}\p{N}._@+-]{0,63}$/u;
const RULE = 'must be 1 to 64 letters, digits or . _ @ + -, and begin with a letter or digit';

/** Names that look alike are the same: in lower case, and without variants of characters. */
export function canonicalName(text: string): string {
  return text.slice(0, 256).normalize('NFKC').toLowerCase();
}

/** A name of an operator or an API key, as {@link canonicalName} gives it. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

/** A field with the name of an operator or an API key. */
export function NameField(): PropertyDecorator {
  return applyDecorators(
    Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? canonicalName(value) : value)),
    Matches(NAME, { message: `$property ${RULE}` }),
    ApiProperty({ description: 'In lower case: letters, digits, and . _ @ + -', maxLength: 64 }),
  );
}

/** Checks the name in a path. */
export class NamePipe implements PipeTransform<string, string> {
  transform(value: string): string {
    const name = canonicalName(value);
    if (!isName(name)) throw new BadRequestException([`name ${RULE}`]);
    return name;
  }
}
