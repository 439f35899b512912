import { decodeTerm, encodeTerm, type Term, TermDecodeError, TermEncodeError } from '../wire/internal.js';
import { toElixir } from './elixir.js';
import { CommandError } from './exit.js';
import { jsonLine } from './printable.js';
import { toJson } from './term-json.js';

/** The largest term to read or write. */
export const MAX_TERM_BYTES = 16 * 1024 * 1024;
/** Hexadecimal needs two characters per byte, Elixir's `<<131, 97>>` up to five. */
export const MAX_TEXT_BYTES = 5 * MAX_TERM_BYTES;

/** Generous limits, because the input comes from the user, not from the network. */
const LIMITS = {
  maxBytes: MAX_TERM_BYTES,
  maxElements: 1_000_000,
  compressed: { maxRatio: 1_100, maxBytes: MAX_TERM_BYTES },
} as const;

export const ENCODINGS = ['hex', 'base64', 'raw'] as const;
export type Encoding = (typeof ENCODINGS)[number];
export const NOTATIONS = ['json', 'elixir', ...ENCODINGS] as const;
export type Notation = (typeof NOTATIONS)[number];

/**
 * The bytes of a term in any encoding. A term begins with 131, which is `83` in hexadecimal, `g` in Base64 and `<<131`
 * in Elixir.
 * @throws {CommandError} if the encoding is not one of these.
 */
export function bytesIn(input: Buffer, encoding: Encoding | undefined): Buffer {
  if (encoding === 'raw' || (encoding === undefined && input[0] === 131)) return input;
  const text = input.toString('latin1').replace(/\s+/g, '');
  if (text === '') throw new CommandError('The input is empty.');
  if (encoding === undefined && text.startsWith('<<')) return bytesOfElixir(text);
  if (encoding === 'base64' || (encoding === undefined && text.startsWith('g'))) return bytesOfBase64(text);
  const digits = text.replace(/^0x/i, '');
  // A repeated group would overflow the stack on millions of digits.
  if (/^[\da-f]+$/i.test(digits) && digits.length % 2 === 0) return Buffer.from(digits, 'hex');
  const wanted =
    encoding === 'hex' ? 'hexadecimal' : 'hexadecimal, Base64, <<131, ...>> or the bytes of a term';
  throw new CommandError(`The input is not ${wanted}.`);
}

function bytesOfBase64(text: string): Buffer {
  // Node ignores wrong padding and extra characters.
  const digits = text.replace(/={1,2}$/, '');
  const isWhole = digits.length % 4 !== 1 && (digits === text || text.length % 4 === 0);
  if (!isWhole || !/^[A-Za-z0-9+/_-]+$/.test(digits)) throw new CommandError('The input is not Base64.');
  return Buffer.from(text, 'base64');
}

function bytesOfElixir(text: string): Buffer {
  const bytes = text.slice('<<'.length, -'>>'.length).split(',');
  if (!text.endsWith('>>') || !bytes.every((byte) => /^\d{1,3}$/.test(byte) && Number(byte) < 256))
    throw new CommandError('The input must have the form <<131, 97, 1>>.');
  return Buffer.from(bytes.map(Number));
}

/** The bytes of a term. @throws {CommandError} with the path of a value that is not a term. */
export function bytesOfTerm(term: Term): Buffer {
  try {
    return encodeTerm(term, { maxBytes: MAX_TERM_BYTES });
  } catch (error) {
    if (error instanceof TermEncodeError)
      throw new CommandError(`The input is not a term: ${error.message}.`);
    throw error;
  }
}

/**
 * Converts the bytes of a term to a notation.
 * @throws {CommandError} with the position, if they are not a safe term.
 */
export function write(bytes: Buffer, notation: Notation): Buffer | string {
  const read = (options: Parameters<typeof decodeTerm>[1] = {}): Term => {
    try {
      return decodeTerm(bytes, { ...LIMITS, ...options });
    } catch (error) {
      if (error instanceof TermDecodeError)
        throw new CommandError(`The input is ${error.message}${around(bytes, error)}.`);
      throw error;
    }
  };
  switch (notation) {
    case 'json':
      return `${jsonLine(toJson(read()))}\n`;
    case 'elixir':
      return `${toElixir(read({ maps: 'map', binaries: 'bytes' }))}\n`;
    default:
      read();
      return notation === 'raw' ? bytes : `${bytes.toString(notation)}\n`;
  }
}

/** The byte at which decoding stopped; not for a compressed term, whose offset counts inflated bytes. */
function around(bytes: Buffer, { offset, code }: TermDecodeError): string {
  if (code === 'bad-version') return ', where a term has 131 (83 in hexadecimal)';
  if (bytes[1] === 80 || offset >= bytes.length) return ` of ${bytes.length}`;
  return ` of ${bytes.length}, which is ${bytes.subarray(offset, offset + 1).toString('hex')} in hexadecimal`;
}
