import 'reflect-metadata';
import { createHash } from 'node:crypto';
import { Validated } from './validated.pipe.js';
import { pageOf, PageQuery, readCursor, writeCursor } from './page.js';

const REFUSED = { status: 400, response: { message: [expect.stringMatching(/^cursor must be/)] } };
const read = (cursor: string, list = 'things') =>
  readCursor<[string, number]>(list, cursor, ['string', 'number']);

/** What readCursor throws. */
function problemOf(cursor: string, list?: string): unknown {
  try {
    return { returned: read(cursor, list) };
  } catch (error) {
    return error;
  }
}

describe('pageOf', () => {
  const rows = [1, 2, 3].map((id) => ({ id }));
  const page = (limit: number) =>
    pageOf(
      rows,
      limit,
      'things',
      ({ id }) => ['ä', id],
      ({ id }) => id * 10,
    );

  it('leaves the row beyond the limit for the next page, whose cursor it has', () => {
    const { items, next } = page(2);
    expect(items).toEqual([10, 20]);
    expect(read(next!)).toEqual(['ä', 2]);
  });

  it('has no next page when there are no more rows than the limit', () => {
    expect(page(3)).toEqual({ items: [10, 20, 30], next: null });
    expect(pageOf([], 1, 'things', () => [1], String)).toEqual({ items: [], next: null });
  });
});

describe('readCursor', () => {
  it('reads nothing without a cursor', () => {
    expect(readCursor('things', undefined, ['string'])).toBeUndefined();
  });

  it('refuses a cursor of which any character was changed, removed or added', () => {
    const cursor = writeCursor('things', ['abc', 7]);
    expect(read(cursor)).toEqual(['abc', 7]);
    for (let index = 0; index < cursor.length; index++) {
      const other = cursor[index] === 'A' ? 'z' : 'A';
      const [before, after] = [cursor.slice(0, index), cursor.slice(index + 1)];
      for (const changed of [before + other + after, before + after])
        expect([changed, problemOf(changed)]).toMatchObject([changed, REFUSED]);
    }
    for (const other of ['', 'x', `${cursor}AAAA`, '\0', '💥'])
      expect([other, problemOf(other)]).toMatchObject([other, REFUSED]);
  });

  it('refuses a cursor of another list', () => {
    expect(problemOf(writeCursor('others', ['abc', 7]), 'things')).toMatchObject(REFUSED);
  });

  it.each([
    '["a"]',
    '["a",1,2]',
    '[1,"a"]',
    '["a",1.5]',
    '["a",1e300]',
    '["a",null]',
    '["\\u0000",1]',
    '["\\ud800",1]',
    '{}',
    'null',
    '[',
  ])('refuses %s with the right checksum', (text) => {
    const checksum = createHash('sha256').update(`things\n${text}`).digest('base64url').slice(0, 11);
    expect(problemOf(checksum + Buffer.from(text).toString('base64url'))).toMatchObject(REFUSED);
  });
});

describe('PageQuery', () => {
  const check = (query: object) =>
    new Validated().transform(query, { type: 'query', metatype: PageQuery }) as Promise<PageQuery>;

  it('has a limit of 100 by default', async () => {
    expect(await check({})).toEqual({ limit: 100 });
    expect(await check({ limit: '500', cursor: 'x' })).toEqual({ limit: 500, cursor: 'x' });
  });

  it.each(['0', '501', '1.5', 'many', '', '-1', '1e9'])('refuses the limit %j', async (limit) => {
    await expect(check({ limit })).rejects.toMatchObject({
      status: 400,
      response: { message: expect.arrayContaining([expect.stringContaining('limit') as string]) as string[] },
    });
  });
});
