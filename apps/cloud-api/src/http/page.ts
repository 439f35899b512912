import { createHash } from 'node:crypto';
import { BadRequestException } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsInt, IsOptional, IsString, Max, MaxLength, Min } from 'class-validator';

/** A part of a list, and where the next part begins. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** The `cursor` of the next page; null on the last one. */
  readonly next: string | null;
}

/** Which part of a list: for `@Query(Validated)`, alone or as a base of a class with filters. */
export class PageQuery {
  @ApiPropertyOptional({ description: 'How many items, at most.', minimum: 1, maximum: 500, default: 100 })
  @IsOptional()
  @Type(() => Number)
  @IsInt()
  @Min(1)
  @Max(500)
  readonly limit: number = 100;

  @ApiPropertyOptional({ description: '`next` of the page before. Keep filter and sort the same.' })
  @IsOptional()
  @IsString()
  @MaxLength(4_000)
  readonly cursor?: string;
}

/** For the OpenAPI document: extend it, and declare `items` with the type of an item. */
export class PageDto {
  @ApiProperty({ type: String, nullable: true, description: 'The cursor of the next page; null: the last.' })
  readonly next!: string | null;
}

/** What a cursor holds: the sort key of the last row of a page. Whole numbers only. */
export type CursorValue = string | number;
type TypesOf<Values extends readonly CursorValue[]> = {
  readonly [Index in keyof Values]: Values[Index] extends number ? 'number' : 'string';
};

const CHECKSUM_CHARACTERS = 11;

/**
 * Makes a page of what a query found.
 * @param rows what was found with `.limit(limit + 1)`: the one too many tells that there is a next page.
 * @param list names list and order, as `devices/-lastSeen`: a cursor is valid for one only.
 * @param keyOf the sort key of a row, which identifies it.
 */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  list: string,
  keyOf: (row: Row) => readonly CursorValue[],
  itemOf: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const hasNext = rows.length > limit && last !== undefined;
  return { items: shown.map(itemOf), next: hasNext ? writeCursor(list, keyOf(last)) : null };
}

/** A cursor that begins after the row with this sort key. */
export function writeCursor(list: string, key: readonly CursorValue[]): string {
  const text = JSON.stringify(key);
  return checksumOf(list, text) + Buffer.from(text).toString('base64url');
}

/**
 * The sort key in a cursor; undefined without a cursor.
 * @param types the types of the parts of the key.
 * @throws {BadRequestException} for a cursor of another list, or one that was changed. Whoever computes the checksum gets
 *   another place in the same list.
 */
export function readCursor<Values extends readonly CursorValue[]>(
  list: string,
  cursor: string | undefined,
  types: TypesOf<Values>,
): Values | undefined {
  if (cursor === undefined) return undefined;
  const text = Buffer.from(cursor.slice(CHECKSUM_CHARACTERS), 'base64url').toString();
  const values = checksumOf(list, text) === cursor.slice(0, CHECKSUM_CHARACTERS) ? parsed(text) : undefined;
  if (!Array.isArray(values) || values.length !== types.length || !values.every(isOf(types)))
    throw new BadRequestException([
      'cursor must be `next` of the page before, with the same filter and sort',
    ]);
  return values as unknown as Values;
}

function isOf(types: readonly string[]): (value: unknown, index: number) => boolean {
  return (value, index) => {
    if (types[index] === 'number') return Number.isSafeInteger(value);
    // Postgres keeps neither.
    return typeof value === 'string' && !/\0|\p{Cs}/u.test(value);
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function checksumOf(list: string, text: string): string {
  const digest = createHash('sha256').update(`${list}\n${text}`).digest('base64url');
  return digest.slice(0, CHECKSUM_CHARACTERS);
}
