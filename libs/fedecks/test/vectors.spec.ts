import { readFileSync } from 'node:fs';
import {
  atom,
  BitString,
  decodeTerm,
  encodeTerm,
  float,
  ImproperList,
  Pid,
  Reference,
  TermDecodeError,
  tuple,
} from '@fedecks/nest/wire';

/** Terms written by Erlang/OTP 25: see vectors/README.md. */
interface Vector {
  readonly name: string;
  readonly kind: 'term' | 'handmade';
  readonly etf_hex: string;
  readonly reencoded_hex?: string;
  readonly server_ok: boolean;
  readonly [variant: string]: unknown;
}

function read(file: string): Vector[] {
  return JSON.parse(readFileSync(new URL(`vectors/${file}`, import.meta.url), 'utf8')) as Vector[];
}

/** Unknown atoms are unsafe in Erlang only: JavaScript has no atom table that could overflow. */
const UNKNOWN_ATOM = /^unknown (atom|node)/;
const accepted = read('accepted.json').filter(({ server_ok, name }) => server_ok || UNKNOWN_ATOM.test(name));
const unsafe = read('accepted.json').filter(({ server_ok, name }) => !server_ok && !UNKNOWN_ATOM.test(name));
const refused = read('refused.json').filter(({ name }) => !UNKNOWN_ATOM.test(name));

const VARIANTS = [
  'etf_hex',
  'etf_minor0_hex',
  'etf_minor2_hex',
  'etf_compressed_hex',
  'etf_compressed9_hex',
  'etf_deterministic_hex',
  'reencoded_hex',
];
/** Erlang's compressed terms inflate up to a thousandfold. */
const COMPRESSED = { compressed: { maxRatio: 1_100, maxBytes: 1024 * 1024 } } as const;
const LOSSLESS = { maps: 'map', binaries: 'bytes', maxDepth: 5000, ...COMPRESSED } as const;

function bytesOf(hex: unknown): Buffer {
  return Buffer.from(hex as string, 'hex');
}

/** Every encoding that Erlang has for one term. */
function encodingsOf(vector: Vector): [string, Buffer][] {
  return VARIANTS.filter((variant) => variant in vector).map((variant) => [
    variant,
    bytesOf(vector[variant]),
  ]);
}

/** The expected JavaScript values, written by hand. */
const EXPECTED: Record<string, unknown> = {
  'int 1': 1,
  'int 255': 255,
  'int 256': 256,
  'int -1': -1,
  'int 2^31': 2147483648,
  'int -2^31-1': -2147483649,
  'int 2^32': 4294967296,
  'int 2^53+1': 9007199254740993n,
  'int -2^64': -18446744073709551616n,
  'int 10^30': 10n ** 30n,
  'int 2^2040-1 (255 bytes: SMALL_BIG)': 2n ** 2040n - 1n,
  'int -2^2040': -(2n ** 2040n),
  'int 2^4000+5': 2n ** 4000n + 5n,
  'float 0.0': 0,
  'float -0.0': -0,
  'float 0.1': 0.1,
  'float -1.0e-100': -1e-100,
  'float min normal': 2.2250738585072014e-308,
  'atom :ok': atom('ok'),
  'atom nil': null,
  'atom false': false,
  'ATOM_EXT true': true,
  'atom empty': atom(''),
  'atom latin1 é': atom('café'),
  'atom utf8 mixed': atom('naïve 日本'),
  'atom undefined': atom('undefined'),
  'binary empty': '',
  'binary hello matey': 'hello matey',
  'binary starting 131': Uint8Array.of(131, 97, 1),
  'bitstring 19 bits': new BitString(Uint8Array.of(1, 2, 0xa0), 3),
  'BIT_BINARY 77 unused bits set': new BitString(Uint8Array.of(0xa0), 3),
  'bitstring 8 bits (a binary)': Uint8Array.of(255),
  'list empty': [],
  'charlist token_please': Array.from('token_please', (c) => c.charCodeAt(0)),
  'list [256]': [256],
  'list strings': ['a', 'b'],
  'list of lists': [[], [1], [[2]], [atom('a')]],
  'improper [1, 2 | 3]': new ImproperList([1, 2], 3),
  'improper [1 | "tail"]': new ImproperList([1], 'tail'),
  'keyword list': [tuple(atom('a'), 1), tuple(atom('b'), 'two')],
  'list of nil': [null, true, false],
  'LIST_EXT 108 length 0 tail integer 5': 5,
  'LIST_EXT tail is a LIST_EXT': [1, 2],
  'LIST_EXT tail is a STRING_EXT': [1, 2, 3],
  'tuple empty': tuple(),
  'token tuple': tuple([116, 111, 107, 101, 110], 'QTEyOEdDTQ.abc'),
  'map empty': {},
  'map atom keys': { a: 1, b: 2, c: null },
  'map integer keys': new Map<number, string>([
    [-5, 'minus'],
    [1, 'one'],
    [2, 'two'],
  ]),
  'map 1 and 1.0 keys': new Map<unknown, unknown>([
    [1, atom('int')],
    [float(1), atom('float')],
  ]),
  'map atom and string of one name': new Map<unknown, unknown>([
    [atom('a'), 1],
    ['a', 2],
  ]),
  'struct DateTime': new Date(Date.UTC(2024, 1, 29, 23, 59, 59)),
  'gen_server reply': tuple(
    atom('reply'),
    tuple(atom('ok'), [
      { id: 1, name: 'a' },
      { id: 2, name: 'b' },
    ]),
    expect.anything() as never,
  ),
  'SMALL_BIG 110 n=0': 0,
  'SMALL_BIG 110 leading zeros': 5,
  'SMALL_BIG 110 sign byte 2': -9,
  'LARGE_BIG 111 value -5': -5,
  'FLOAT_EXT 99 31 chars no NUL': 1.5,
  'FLOAT_EXT 1,5': 1.5,
  'COMPRESSED 80 then trailing bytes': atom('ok'),
  'COMPRESSED inner term has trailing bytes': 1,
  'trailing bytes after map': {},
};

describe('vectors written by Erlang/OTP', () => {
  it('are complete', () => {
    expect(accepted.length).toBeGreaterThan(190);
    expect(unsafe.length).toBe(9);
    expect(refused.length).toBe(49);
    expect(accepted.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(EXPECTED)));
  });

  it.each(Object.keys(EXPECTED))('decode to the expected value: %s (§4)', (name) => {
    const vector = accepted.find((each) => each.name === name)!;
    for (const [, bytes] of encodingsOf(vector))
      expect(decodeTerm(bytes, COMPRESSED)).toEqual(EXPECTED[name]);
  });

  it.each(accepted.map((vector) => [vector.name, vector] as const))(
    'decode to the same value in every encoding: %s (§4)',
    (_, vector) => {
      const [[, first], ...others] = encodingsOf(vector) as [[string, Buffer], ...[string, Buffer][]];
      const term = decodeTerm(first, LOSSLESS);
      for (const [, bytes] of others) {
        const other = decodeTerm(bytes, LOSSLESS);
        // A pid or reference keeps its encoding.
        if (!(term instanceof Pid) && !(term instanceof Reference)) expect(other).toEqual(term);
      }
    },
  );

  /** Encoding needs more stack than decoding. */
  const shallow = accepted.filter(({ name }) => name !== 'tuples nested 4096 deep');
  it.each(shallow.map((vector) => [vector.name, vector] as const))(
    'survive a lossless decode and encode: %s (§4)',
    (_, vector) => {
      for (const [, bytes] of encodingsOf(vector)) {
        const term = decodeTerm(bytes, LOSSLESS);
        expect(decodeTerm(encodeTerm(term, { maxDepth: 5000 }), LOSSLESS)).toEqual(term);
      }
    },
  );

  /** Without terms that have several valid encodings: marked bytes, pids and references. */
  const ours = accepted.filter(
    ({ name, kind, etf_hex }) =>
      kind === 'term' && !/6d0|^pid|^ref/.test(`${name} ${etf_hex}`.replace(/6d00000000/g, '')),
  );
  it.each(ours.map((vector) => [vector.name, vector] as const))(
    'encode to the bytes of OTP 26: %s (§4)',
    (_, vector) => {
      const erlang = bytesOf(vector['etf_minor2_hex'] ?? vector.etf_hex);
      expect(encodeTerm(decodeTerm(erlang, LOSSLESS)).toString('hex')).toBe(erlang.toString('hex'));
    },
  );

  const texts = accepted.filter(({ name }) =>
    /^(map auth|map token auth|list strings|map 100 string keys|binary hello|compressible list|send_downstream)/.test(
      name,
    ),
  );
  it.each(texts.map((vector) => [vector.name, vector] as const))(
    "encode to Erlang's bytes when they contain text: %s (§4)",
    (_, vector) => {
      const term = decodeTerm(bytesOf(vector.etf_hex), { maps: 'map' });
      const erlang = bytesOf(vector['etf_minor2_hex'] ?? vector.etf_hex);
      expect(encodeTerm(term).toString('hex')).toBe(erlang.toString('hex'));
    },
  );

  it.each(refused.map((vector) => [vector.name, vector] as const))('are rejected: %s (§4)', (_, vector) => {
    expect(() => decodeTerm(bytesOf(vector.etf_hex))).toThrow(TermDecodeError);
  });

  it.each(unsafe.map((vector) => [vector.name, vector] as const))(
    'are rejected as unsafe: %s (§4)',
    (_, vector) => {
      for (const [, bytes] of encodingsOf(vector)) {
        expect(() => decodeTerm(bytes)).toThrow(expect.objectContaining({ code: 'unsafe' }) as Error);
      }
    },
  );

  it('are rejected when truncated anywhere (§4)', () => {
    for (const vector of accepted.filter(
      ({ etf_hex, name }) => etf_hex.length < 400 && !/trailing|31 chars no NUL/.test(name),
    )) {
      const bytes = bytesOf(vector.etf_hex);
      for (let length = 0; length < bytes.length; length++) {
        expect(() => decodeTerm(bytes.subarray(0, length))).toThrow(TermDecodeError);
      }
    }
  });
});
