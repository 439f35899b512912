import { BadRequestException } from '@nestjs/common';
import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsOptional } from 'class-validator';
import { type Term } from '@fedecks/nest/wire';
import { TaggedJsonError, termOf } from '../../live/tagged-json.js';
import { type Json } from '../../live/term-json.js';

/** How the JSON of a message is read. */
export class TermsQuery {
  @ApiPropertyOptional({
    enum: ['tagged'],
    description:
      '`tagged`: an object like `{ "$tuple": [] }` stands for what JSON cannot say: `$tuple`, `$atom`, `$bytes` (Base64), ' +
      '`$integer` (digits), `$float`, `$date` (ISO 8601) and `$map` (pairs). Otherwise JSON is sent as it is.',
  })
  @IsOptional()
  @IsIn(['tagged'])
  readonly terms?: 'tagged';
}

/** What is sent. @throws {BadRequestException} for a tag with something else than it takes. */
export function termIn(json: Term, { terms }: TermsQuery): Term {
  if (terms !== 'tagged') return json;
  try {
    // A body is JSON.
    return termOf(json as Json);
  } catch (error) {
    if (error instanceof TaggedJsonError) throw new BadRequestException([`payload: ${error.message}`]);
    throw error;
  }
}
