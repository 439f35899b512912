/** Integers up to this many bytes are read as a word of 64 bits. */
const WORD_BYTES = 8;
const word = new BigUint64Array(1);
const wordBytes = new Uint8Array(word.buffer);
/** The byte of the word that is its lowest, on this machine. */
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** An integer whose lowest byte comes first: a number if it is a safe one, else a bigint. Linear in its length. */
export function readBig(bytes: Buffer, start: number, length: number, negative: boolean): number | bigint {
  if (length <= 6) {
    let value = 0;
    for (let at = start + length - 1; at >= start; at--) value = value * 256 + bytes[at]!;
    return negative ? 0 - value : value;
  }
  const size = length <= WORD_BYTES ? readWord(bytes, start, length) : readLong(bytes, start, length);
  const value = negative ? -size : size;
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
}

function readWord(bytes: Buffer, start: number, length: number): bigint {
  word[0] = 0n;
  for (let index = 0; index < length; index++)
    wordBytes[LITTLE_ENDIAN ? index : WORD_BYTES - 1 - index] = bytes[start + index]!;
  return word[0];
}

/** Hexadecimal is read in linear time. */
function readLong(bytes: Buffer, start: number, length: number): bigint {
  const digits = Buffer.from(bytes.subarray(start, start + length))
    .reverse()
    .toString('hex');
  return BigInt(`0x${digits}`);
}

/** The float of Erlang before 2010: its decimal digits in 31 bytes, filled up with NULs. Undefined if it is none. */
export function readFloatText(bytes: Buffer, start: number): number | undefined {
  const [text = ''] = bytes.toString('latin1', start, start + 31).split('\0', 1);
  return /^[+-]?\d+\.\d+(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : undefined;
}
