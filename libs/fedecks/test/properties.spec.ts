import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import {
  Atom,
  atom,
  decodeTerm,
  encodeTerm,
  type Term,
  TermDecodeError,
  TermEncodeError,
  Tuple,
  tuple,
} from '@fedecks/nest/wire';
import { decodeAuthHeader } from '../src/wire/internal.js';
import { readFrame } from '../src/client/inbound.js';
import { mutated } from './support/mutated.js';
import {
  atom as atomBytes,
  chars,
  int,
  list,
  map,
  str,
  strMap,
  term,
  tuple as tupleBytes,
} from './support/term-bytes.js';

/** A short run; `npm run fuzz` runs longer: see scripts/fuzz/README.md. */
const RUNS = 1_000;
/** Far more than any input takes; a stall of seconds is a fault. */
const MAX_MS = 2_000;
const LOSSLESS = { maps: 'map', binaries: 'bytes' } as const;

function readJson<T>(file: string): T[] {
  return JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as T[];
}

const seeds = ['vectors/accepted.json', 'vectors/refused.json']
  .flatMap((file) => readJson<{ etf_hex: string }>(file))
  .map(({ etf_hex }) => Buffer.from(etf_hex, 'hex'))
  .filter(({ length }) => length < 1_000);
const parts = [
  atomBytes('true'),
  chars('token'),
  int(1),
  list(int(300)),
  map([int(1), int(2)], [int(1), int(2)]),
  str('fedecks-device-id'),
  tupleBytes(),
  Buffer.from('467ff8000000000000', 'hex'), // NaN
];
const termBytes = fc.oneof(
  mutated(seeds, parts),
  mutated([term(int(1))], parts),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => term(bytes)),
);

/** Runs a function, and fails if it takes too long. */
function inTime<T>(run: () => T): T {
  const start = performance.now();
  try {
    return run();
  } finally {
    expect(performance.now() - start).toBeLessThan(MAX_MS);
  }
}

/** The decoded term, or undefined for bytes that are correctly rejected. */
function read(bytes: Uint8Array, options?: Parameters<typeof decodeTerm>[1]): { term: Term } | undefined {
  try {
    return { term: inTime(() => decodeTerm(bytes, options)) };
  } catch (error) {
    expect(error).toBeInstanceOf(TermDecodeError);
    return undefined;
  }
}

// --- decodeTerm --------------------------------------------------------------------------------------------

function readsOrRefuses(bytes: Uint8Array): void {
  for (const options of [undefined, { maps: 'map' }, { binaries: 'bytes' }] as const) read(bytes, options);
  const lossless = read(bytes, LOSSLESS);
  if (!lossless) return;
  expect(decodeTerm(encodeTerm(lossless.term), LOSSLESS)).toEqual(lossless.term);
}

describe('decodeTerm', () => {
  it('decodes any bytes to a term that survives encoding, or throws a TermDecodeError (§4)', () => {
    fc.assert(fc.property(termBytes, readsOrRefuses), { numRuns: RUNS });
  });
});

// --- encodeTerm --------------------------------------------------------------------------------------------

const scalar = fc.oneof(
  fc.constantFrom<Term>(null, true, false),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.bigInt(),
  fc.string({ unit: 'binary' }),
  fc.uint8Array({ maxLength: 20 }),
  fc.date({
    min: new Date('0001-01-01T00:00:00Z'),
    max: new Date('9999-12-31T00:00:00Z'),
    noInvalidDate: true,
  }),
  fc.string({ maxLength: 20 }).map(atom),
);
const key = fc.oneof(
  fc.string({ maxLength: 5 }),
  fc.integer(),
  fc.bigInt(),
  fc.string({ maxLength: 5 }).map(atom),
  fc.uint8Array({ maxLength: 3 }),
  fc.array(fc.integer(), { maxLength: 3 }).map((elements) => tuple(...elements)),
);
const { value } = fc.letrec<{ value: Term }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.array(tie('value'), { maxLength: 5 }).map((elements) => tuple(...elements)),
    fc.dictionary(fc.string({ maxLength: 8 }), tie('value'), { maxKeys: 5 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 5 }).map((entries) => new Map(entries)),
  ),
}));

/** The value after encoding and decoding, by the conversions of README and PROTOCOL.md. */
function afterRoundTrip(given: Term): Term {
  if (typeof given === 'bigint') return Number.isSafeInteger(Number(given)) ? Number(given) : given;
  if (given instanceof Atom)
    return given.name === 'nil'
      ? null
      : given.name === 'true'
        ? true
        : given.name === 'false'
          ? false
          : given;
  if (given instanceof Uint8Array) return given.length === 0 ? '' : given;
  if (typeof given !== 'object' || given === null || given instanceof Date) return given;
  if (given instanceof Tuple) return tuple(...given.map(afterRoundTrip));
  if (Array.isArray(given)) return given.map((each: Term) => afterRoundTrip(each));
  const entries = [...(given instanceof Map ? (given as Map<Term, Term>) : Object.entries(given))].map(
    ([name, each]) => [afterRoundTrip(name), afterRoundTrip(each as Term)] as const,
  );
  if (entries.every(([name]) => typeof name === 'string'))
    return Object.fromEntries(entries) as { [name: string]: Term };
  if (entries.every(([name]) => name instanceof Atom))
    return Object.fromEntries(entries.map(([name, each]) => [(name as Atom).name, each]));
  return new Map(entries);
}

/** The encoded value, or undefined if it is rejected with its path. */
function write(given: unknown): Buffer | undefined {
  try {
    return inTime(() => encodeTerm(given as Term));
  } catch (error) {
    expect(error).toBeInstanceOf(TermEncodeError);
    expect((error as TermEncodeError).path).toMatch(/^\$/);
    return undefined;
  }
}

function hasBigInt(given: unknown): boolean {
  return fc.stringify(given).match(/\dn\b/) !== null;
}

describe('encodeTerm', () => {
  it('encodes terms that decode to the same, or rejects them with their path (§4.2)', () => {
    fc.assert(
      fc.property(value, (given) => {
        const bytes = write(given);
        if (bytes) expect(decodeTerm(bytes)).toEqual(afterRoundTrip(given));
      }),
      { numRuns: RUNS },
    );
  });

  it('encodes any JavaScript value to bytes that decode, or rejects it with its path (§4.2)', () => {
    const anything = fc.anything({
      withBigInt: true,
      withBoxedValues: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withObjectString: true,
      withSet: true,
      withSparseArray: true,
      withTypedArray: true,
      stringUnit: 'binary',
    });
    fc.assert(
      fc.property(anything, (given) => {
        const bytes = write(given);
        if (!bytes) return;
        const decoded = decodeTerm(bytes, { maps: 'map' });
        // A list with the bigint 40n is no STRING_EXT, but one with the number 40 that it decodes to is.
        const again = encodeTerm(decoded);
        expect(decodeTerm(again, { maps: 'map' })).toEqual(decoded);
        if (!hasBigInt(given)) expect(again).toEqual(bytes);
      }),
      { numRuns: RUNS },
    );
  });
});

// --- Headers and frames ------------------------------------------------------------------------------------

const headers = [
  term(strMap({ 'fedecks-device-id': str('d'), password: str('x') })),
  term(strMap({ 'fedecks-device-id': str('d'), 'fedecks-token': str('a.b.c') })),
];

function readsHeader(text: string): void {
  const header = inTime(() => decodeAuthHeader(text));
  if (header.ok) expect(Buffer.byteLength(header.deviceId)).toBeLessThanOrEqual(125);
  else expect(typeof header.info).toBe('string');
}

function readsFrame(bytes: Uint8Array): void {
  const inbound = inTime(() =>
    readFrame(Buffer.from(bytes), true, { deviceId: 'nerves-242a', maxFrameBytes: 262_144 }),
  );
  expect(['message', 'token', 'undecodable', 'oversized_token']).toContain(inbound.kind);
}

describe('decodeAuthHeader', () => {
  it('parses any text, or says what is wrong with it (§1.2)', () => {
    const text = fc.oneof(
      fc.oneof(mutated(headers, parts), termBytes).map((bytes) => bytes.toString('base64')),
      mutated(headers.map((bytes) => Buffer.from(bytes.toString('base64')))).map((bytes) =>
        bytes.toString('latin1'),
      ),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(fc.property(text, readsHeader), { numRuns: RUNS });
  });
});

describe('a frame to the client', () => {
  it('is a message, a token or ignored, whatever its bytes (§2.2, §2.3)', () => {
    const tokens = [term(tupleBytes(chars('token'), str('abc')))];
    fc.assert(fc.property(fc.oneof(mutated(tokens, parts), termBytes), readsFrame), { numRuns: RUNS });
  });
});

describe('regressions', () => {
  const faults = readJson<{ target: string; name: string; hex: string }>('fuzz-corpus.json');

  it('decodes inputs that once failed', () => {
    for (const { hex } of faults) {
      const bytes = Buffer.from(hex, 'hex');
      readsOrRefuses(bytes);
      readsHeader(bytes.toString('base64'));
      readsHeader(bytes.toString('latin1'));
      readsFrame(bytes);
    }
  });
});
