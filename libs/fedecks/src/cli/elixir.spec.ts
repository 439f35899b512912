import { readFileSync } from 'node:fs';
import { atom, decodeTerm, type Term } from '../wire/internal.js';
import { toElixir } from './elixir.js';

/** Terms, and Elixir's own output for them: see vectors/README.md. */
interface Vector {
  readonly name: string;
  readonly etf_hex: string;
  readonly inspect?: string | null;
  readonly server_ok: boolean;
  readonly [variant: string]: unknown;
}

const vectors = (
  JSON.parse(readFileSync(new URL('../../test/vectors/accepted.json', import.meta.url), 'utf8')) as Vector[]
).filter(({ inspect, server_ok }) => typeof inspect === 'string' && server_ok);

const LOSSLESS = {
  maps: 'map',
  binaries: 'bytes',
  compressed: { maxRatio: 1_100, maxBytes: 1024 * 1024 },
} as const;

function read(hex: string): Term {
  return decodeTerm(Buffer.from(hex, 'hex'), LOSSLESS);
}

/** An atom of that name, as OTP 26 encodes it. */
function atomTerm(name: string): Term {
  const text = Buffer.from(name);
  return decodeTerm(Buffer.concat([Buffer.of(131, 119, text.length), text]), LOSSLESS);
}

describe('toElixir', () => {
  it('has vectors printed by Elixir', () => {
    expect(vectors.length).toBeGreaterThan(110);
  });

  it.each(vectors.map((vector) => [vector.name, vector] as const))(
    'prints the same as Elixir: %s',
    (_name, vector) => {
      // Maps keep their encoded order, which the deterministic encoding changes.
      const spellings = Object.keys(vector).filter((key) => /^etf_(?!deterministic).*hex$/.test(key));
      for (const key of spellings) expect(toElixir(read(vector[key] as string))).toBe(vector.inspect);
    },
  );

  // Printed by `float_to_binary(F, [short])` of Erlang/OTP 25, as `inspect` does.
  it.each<[number, string]>([
    [0.0, '0.0'],
    [-0.0, '-0.0'],
    [1.0, '1.0'],
    [-1.5, '-1.5'],
    [100.0, '100.0'],
    [1.0e3, '1.0e3'],
    [1.0e4, '1.0e4'],
    [1.0e5, '1.0e5'],
    [123456.0, '123456.0'],
    [1.0e6, '1.0e6'],
    [1.2e7, '1.2e7'],
    [123456789.0, '123456789.0'],
    [1.0e15, '1.0e15'],
    [1.0e16, '1.0e16'],
    [1.0e21, '1.0e21'],
    [1.0e22, '1.0e22'],
    [9007199254740991.0, '9007199254740991.0'],
    [9.007199254740994e15, '9.007199254740994e15'],
    [1.2345678901234566e25, '1.2345678901234566e25'],
    [1.2345678901234568e20, '1.2345678901234568e20'],
    [0.1, '0.1'],
    [0.01, '0.01'],
    [0.001, '0.001'],
    [0.0001, '0.0001'],
    [1.0e-5, '1.0e-5'],
    [1.2e-4, '1.2e-4'],
    [0.012345, '0.012345'],
    [0.0012345, '0.0012345'],
    [1.2345e-4, '1.2345e-4'],
    [1.0e-7, '1.0e-7'],
    [1.25e-5, '1.25e-5'],
    [2.2250738585072014e-308, '2.2250738585072014e-308'],
    [1.7976931348623157e308, '1.7976931348623157e308'],
    [3.14, '3.14'],
    [12.5, '12.5'],
    [1.0e23, '1.0e23'],
    [21.5, '21.5'],
    [0.3, '0.3'],
    [1.0e-10, '1.0e-10'],
    [9.6897502e-4, '9.6897502e-4'],
    [10435594967043.904, '10435594967043.904'],
    [31.13, '31.13'],
    [8.2e-11, '8.2e-11'],
    [4787.327206999999, '4787.327206999999'],
    [3.0000000000000004e-9, '3.0000000000000004e-9'],
    [2.0140373499e-4, '2.0140373499e-4'],
    [5.28972169621301e-4, '5.28972169621301e-4'],
    [44843731.62247015, '44843731.62247015'],
    [8.3281e-10, '8.3281e-10'],
    [5.002407300387406e16, '5.002407300387406e16'],
    [-1.4933072653479304e18, '-1.4933072653479304e18'],
    [6.2528262693710984e16, '6.2528262693710984e16'],
  ])('prints the float %p as Erlang does', (value, text) => {
    const bytes = Buffer.from('834600000000000000000', 'hex');
    bytes.writeDoubleBE(value, 2);
    expect(toElixir(decodeTerm(bytes, LOSSLESS))).toBe(text);
  });

  // As Elixir 1.14 to 1.18 print them, by their documentation of `inspect` and of atoms.
  it.each<[string, string]>([
    ['valid?', ':valid?'],
    ['save!', ':save!'],
    ['node@host', ':node@host'],
    ['_private', ':_private'],
    ['Upper', ':Upper'],
    ['Elixir', 'Elixir'],
    ['Elixir.Some.Module', 'Some.Module'],
    ['Elixir.not_a_module', ':"Elixir.not_a_module"'],
    ['+', ':+'],
    ['<>', ':<>'],
    ['%{}', ':%{}'],
    ['9lives', ':"9lives"'],
    ['kebab-case', ':"kebab-case"'],
    ['say "hi"', String.raw`:"say \"hi\""`],
    ['new\nline', String.raw`:"new\nline"`],
    ['\u001b[31m', String.raw`:"\e[31m"`],
  ])('prints the atom %j', (name, text) => {
    expect(toElixir(atomTerm(name))).toBe(text);
    expect(toElixir(new Map([[atom(name), 1]]))).toMatch(/^%\{.+ 1\}$/);
  });

  it('prints keys that are modules with an arrow', () => {
    expect(toElixir(new Map([[atom('Elixir.String'), 1]]))).toBe('%{String => 1}');
    expect(toElixir(new Map([[atom('not ok'), 1]]))).toBe('%{"not ok": 1}');
  });

  it.each<[string, string]>([
    ['"', String.raw`"\""`],
    ['#{1}', String.raw`"\#{1}"`],
    ['a\tb\r\n', String.raw`"a\tb\r\n"`],
    ['\u001b[2J', String.raw`"\e[2J"`],
    ['\u202ereversed', String.raw`"\u202Ereversed"`],
    ['\u0085', '<<194, 133>>'],
  ])('escapes the binary %j, so that it cannot control a terminal', (text, shown) => {
    expect(toElixir(Buffer.from(text))).toBe(shown);
  });

  it('prints the node number in a pid of another node', () => {
    // PID_EXT of a@b, process 2, serial 3, creation 0.
    expect(toElixir(read('836773036140620000000200000003' + '00'))).toBe('#PID<a@b.2.3>');
  });

  it('escapes the name of that node, which a peer may have chosen for a terminal', () => {
    expect(toElixir(read('8367730a1b5b324a1b5b33316d40620000000200000003' + '00'))).toBe(
      String.raw`#PID<\e[2J\e[31m@.1644167168.33554432>`,
    );
  });

  it('prints large integers in decimal, and enormous ones in hexadecimal', () => {
    expect(toElixir(-(10n ** 1000n))).toBe(`-1${'0'.repeat(1000)}`);
    expect(toElixir(-(2n ** 20_000n))).toBe(`-0x1${'0'.repeat(5000)}`);
  });
});
