/** The reflected polynomial of CRC-32C (Castagnoli, RFC 3720 §12.1). `zlib.crc32` computes another CRC. */
const POLYNOMIAL = 0x82f63b78;
/** Eight tables of 256 entries: eight bytes are folded in at once, for an open that reads hundreds of megabytes. */
const TABLE = new Int32Array(8 * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  TABLE[byte] = crc;
}
for (let index = 256; index < TABLE.length; index++) {
  const crc = at(index - 256);
  TABLE[index] = at(crc & 0xff) ^ (crc >>> 8);
}

function at(index: number): number {
  return TABLE[index] as number;
}

/**
 * The CRC-32C of `bytes` from `start` to before `end`.
 * @param previous the CRC of the bytes before, to continue it.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, previous = 0): number {
  let crc = ~previous;
  let index = start;
  for (const last = end - 8; index <= last; index += 8) {
    const low =
      crc ^
      ((bytes[index] as number) |
        ((bytes[index + 1] as number) << 8) |
        ((bytes[index + 2] as number) << 16) |
        ((bytes[index + 3] as number) << 24));
    crc =
      at(0x700 + (low & 0xff)) ^
      at(0x600 + ((low >>> 8) & 0xff)) ^
      at(0x500 + ((low >>> 16) & 0xff)) ^
      at(0x400 + (low >>> 24)) ^
      at(0x300 + (bytes[index + 4] as number)) ^
      at(0x200 + (bytes[index + 5] as number)) ^
      at(0x100 + (bytes[index + 6] as number)) ^
      at(bytes[index + 7] as number);
  }
  for (; index < end; index++) crc = at((crc ^ (bytes[index] as number)) & 0xff) ^ (crc >>> 8);
  return ~crc >>> 0;
}
