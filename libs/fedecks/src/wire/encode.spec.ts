import { runInNewContext } from 'node:vm';
import { jest } from '@jest/globals';
import {
  atom,
  BitString,
  encodeTerm,
  Float,
  float,
  ImproperList,
  type Term,
  TermEncodeError,
  tuple,
} from '@fedecks/nest/wire';
import { encodeTermAfter, looksLikeTokenMessage } from './internal.js';

function problemOf(value: unknown, options?: Parameters<typeof encodeTerm>[1]): string {
  try {
    return encodeTerm(value as Term, options).toString('hex');
  } catch (error) {
    expect(error).toBeInstanceOf(TermEncodeError);
    return (error as Error).message;
  }
}

function nested(levels: number): unknown {
  let value: unknown = [];
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

describe('encodeTerm', () => {
  it('rejects 45,000 levels in at most a hundred times the time of 450', () => {
    // Of the processor: on the clock, a busy machine adds any time.
    const time = (levels: number): number => {
      const value = nested(levels);
      const start = process.cpuUsage();
      expect(problemOf(value)).toContain('nested more than 256 levels deep');
      const { user, system } = process.cpuUsage(start);
      return (user + system) / 1_000;
    };
    time(450);
    expect(time(45_000)).toBeLessThan(1_500);
  });

  it('names the path of a cycle, with long keys shortened', () => {
    const map = new Map<unknown, unknown>();
    map.set(1n << 4_000_000n, { map });
    expect(problemOf(map)).toBe('$["(key)"].map contains itself');
  });

  it('shortens long keys in paths', () => {
    expect(problemOf({ ['k'.repeat(100_000)]: () => 1 }).length).toBeLessThan(200);
  });

  it('rejects an array of two billion elements before it allocates', () => {
    const readings: number[] = [];
    readings[1_760_000_000] = 21.5;
    expect(problemOf({ readings })).toBe(
      '$.readings has 1760000001 elements and needs more than 67108864 bytes',
    );
  });

  it('rejects an array with more than 65,536 holes by its path, and encodes few holes as nil', () => {
    const readings: number[] = [];
    readings[1_000_000] = 21.5;
    expect(problemOf({ readings })).toBe('$.readings is an array with more than 65536 holes');
    const few: number[] = [];
    few[1] = 300;
    expect(problemOf(few)).toBe('836c0000000277036e696c620000012c6a');
  });

  it('rejects more than maxBytes', () => {
    expect(problemOf('x'.repeat(100), { maxBytes: 106 })).toMatch(/^83/);
    expect(problemOf('x'.repeat(100), { maxBytes: 105 })).toBe('$ is larger than 105 bytes');
    expect(problemOf('x'.repeat(100_000), { maxBytes: 50_000 })).toBe('$ is larger than 50000 bytes');
    expect(problemOf(new Uint8Array(100_000), { maxBytes: 50_000 })).toBe('$ is larger than 50000 bytes');
    let doubled: unknown = [1];
    for (let level = 0; level < 60; level++) doubled = [doubled, doubled];
    expect(problemOf(doubled, { maxBytes: 100_000 })).toBe('$ is larger than 100000 bytes');
  });

  it.each([1_000, 1_025, 60_000])('encodes text of %i characters of one to four bytes', (length) => {
    for (const character of ['a', 'é', '語', '😀']) {
      const text = character.repeat(length / character.length);
      const bytes = Buffer.from(text);
      const head = Buffer.from('836d00000000', 'hex');
      head.writeUInt32BE(bytes.length, 2);
      expect(encodeTerm(text).equals(Buffer.concat([head, bytes]))).toBe(true);
    }
    // More than the initial buffer for a text of that length.
    const mixed = 'a'.repeat(length - (length >> 3)) + 'é'.repeat(length >> 3) + '😀';
    expect(encodeTerm(mixed).subarray(6).toString()).toBe(mixed);
  });

  it('allocates at most twice the memory of a long text', () => {
    expect(encodeTerm('a'.repeat(65_536)).buffer.byteLength).toBeLessThan(2 * 65_536);
  });

  it('rejects a key with an unpaired surrogate by its path, and accepts a complete pair', () => {
    expect(problemOf({ a: { 'k\ud800': 1 } })).toBe('$.a["k\\ud800"] is a key with a lone surrogate');
    expect(problemOf(new Map([['k\udfff', 1]]))).toContain('a lone surrogate');
    expect(problemOf({ '😀': 1 })).toBe('8374000000016d00000004f09f98806101');
    expect(problemOf({ a: '\ud800' })).toBe('8374000000016d00000001616d00000003efbfbd');
    expect(problemOf({ '': 1 })).toBe('8374000000016d000000006101');
  });

  describe('objects of another realm', () => {
    it.each([
      ['new Date(5)', new Date(5)],
      ['new Map([[1, 2]])', new Map([[1, 2]])],
      ['new Uint8Array([1, 2])', Uint8Array.of(1, 2)],
      ['({ a: [1, { b: null }] })', { a: [1, { b: null }] }],
      ['new (class A { x = 1 })()', { x: 1 }],
    ])('encodes %s like objects of this realm', (code, same) => {
      expect(problemOf(runInNewContext(code) as unknown)).toBe(encodeTerm(same).toString('hex'));
    });

    it.each([
      'new Set()',
      '/x/',
      'new Error()',
      'Promise.resolve()',
      'new Float32Array(1)',
      '(function* () {})()',
    ])('rejects %s', (code) => {
      expect(problemOf({ p: runInNewContext(code) as unknown })).toMatch(/^\$\.p is an? .* (no|a) term/);
    });
  });

  it.each<[string, unknown]>([
    ['URL', new URL('http://localhost')],
    ['URLSearchParams', new URLSearchParams('a=1')],
    ['Headers', new Headers({ a: '1' })],
    ['Blob', new Blob(['x'])],
    ['Request', new Request('http://localhost')],
    ['Response', new Response('x')],
    ['FormData', new FormData()],
    ['Generator', (function* () {})()],
    ['AsyncGenerator', (async function* () {})()],
    ['Array Iterator', [].values()],
    ['Map Iterator', new Map().keys()],
    ['AbortSignal', new AbortController().signal],
    ['Set', new Set()],
    ['Error', new Error('x')],
  ])('rejects a %s by its path', (name, value) => {
    expect(problemOf({ p: value })).toMatch(new RegExp(`^\\$\\.p is an? ${name}, which is not a term`));
  });

  it('writes "an Error" and "a URL"', () => {
    expect(problemOf(new Error('x'))).toContain('is an Error,');
    expect(problemOf(new URL('http://localhost'))).toContain('is a URL,');
  });

  it.each<[string, object]>([
    ['a Date', new Date(0)],
    ['a RegExp', /x/],
    ['an Error', new Error('x')],
    ['a Uint8Array', new Uint8Array(2)],
  ])('rejects a Proxy of %s, whose content is not to be had', (name, value) => {
    expect(problemOf({ p: new Proxy(value, {}) })).toContain(
      `$.p is ${name} in a Proxy, which is not a term`,
    );
  });

  it('writes a Proxy of a plain object and of an array as these', () => {
    expect(problemOf(new Proxy({ a: [1] }, {}))).toBe(encodeTerm({ a: [1] }).toString('hex'));
    expect(problemOf(new Proxy([1, 2], {}))).toBe(encodeTerm([1, 2]).toString('hex'));
  });

  it('rejects what is awaited as a Promise is', () => {
    class Query {
      readonly table = 'readings';
      // What a query builder has.
      then(): void {
        // Runs the query.
      }
    }
    expect(problemOf({ p: new Query() })).toContain('$.p has a method then');
  });

  it('rejects what is iterable and has no properties, and takes what has', () => {
    class Queue {
      constructor(readonly name?: string) {
        if (name === undefined) delete (this as { name?: string }).name;
      }
      *[Symbol.iterator](): Generator<number> {
        yield 1;
      }
    }
    class Feed {
      async *[Symbol.asyncIterator](): AsyncGenerator<number> {
        yield 1;
      }
    }
    expect(problemOf({ p: new Queue() })).toContain('$.p is an iterable without properties');
    expect(problemOf({ p: new Feed() })).toContain('$.p is an iterable without properties');
    expect(problemOf(new Queue('q'))).toBe(encodeTerm({ name: 'q' }).toString('hex'));
  });

  it('encodes class instances as maps of their own properties', () => {
    class Reading {
      celsius = 1;
      get [Symbol.toStringTag](): string {
        return 'Reading';
      }
    }
    expect(problemOf(new Reading())).toBe(encodeTerm({ celsius: 1 }).toString('hex'));
    class Empty extends Reading {
      override celsius = undefined as never;
    }
    expect(problemOf(new Empty())).toBe('837400000000');
  });

  it('encodes -0 as a float', () => {
    expect(problemOf(-0)).toBe('83468000000000000000');
  });
});

describe('encodeTermAfter', () => {
  it.each([0, 2, 10, 100, 100_000])('leaves a gap of %i bytes', (gap) => {
    for (const value of [1, { a: 'x'.repeat(40) }, 'y'.repeat(20_000)]) {
      const bytes = encodeTermAfter(gap, value);
      expect(bytes.subarray(gap).equals(encodeTerm(value))).toBe(true);
    }
  });

  it('never writes to returned bytes, including the gap', () => {
    const all = Array.from({ length: 5_000 }, (_, index) => {
      const bytes = encodeTermAfter(index % 15, { index, text: 'z'.repeat(index % 100) });
      bytes.fill(0xee, 0, index % 15);
      return { bytes, copy: Buffer.from(bytes) };
    });
    expect(all.every(({ bytes, copy }) => bytes.equals(copy))).toBe(true);
  });

  it('does not count the gap against maxBytes', () => {
    expect(encodeTermAfter(50, 1, { maxBytes: 3 }).length).toBe(53);
  });
});

describe('a second copy of the package', () => {
  it('creates terms that this copy encodes correctly', async () => {
    jest.resetModules();
    const other = await import('@fedecks/nest/wire');
    expect(other.Float).not.toBe(Float);
    expect(encodeTerm(other.atom('ok')).equals(encodeTerm(atom('ok')))).toBe(true);
    expect(encodeTerm(other.tuple('a', 300)).equals(encodeTerm(tuple('a', 300)))).toBe(true);
    expect(encodeTerm(other.float(1)).equals(encodeTerm(float(1)))).toBe(true);
    const bits = Uint8Array.of(0xa0);
    expect(encodeTerm(new other.BitString(bits, 3)).equals(encodeTerm(new BitString(bits, 3)))).toBe(true);
    expect(encodeTerm(new other.ImproperList([1], 2)).equals(encodeTerm(new ImproperList([1], 2)))).toBe(
      true,
    );
    const pid = Buffer.from('8358770161000000010000000000000001', 'hex');
    expect(encodeTerm(other.decodeTerm(pid)).equals(pid)).toBe(true);
    expect(other.float(1)).toBeInstanceOf(Float);
    expect(looksLikeTokenMessage(other.tuple(Array.from(Buffer.from('token')), 'QTEy'))).toBe(true);
    const twice = new Map([
      [atom('a'), 1],
      [other.atom('a'), 2],
    ]);
    expect(problemOf(twice)).toContain('is a key that the map already has');
  });
});
