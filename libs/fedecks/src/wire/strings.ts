import { isUtf8 } from 'node:buffer';

/** Up to this many bytes, ASCII is read in JavaScript: a call into Node costs more. */
const SHORT_BYTES = 12;

const { fromCharCode } = String;

/** The text of bytes, or undefined if they are no UTF-8. */
export function readText(bytes: Buffer, start: number, length: number): string | undefined {
  if (length <= SHORT_BYTES) {
    let bits = 0;
    for (let at = start + length - 1; at >= start; at--) bits |= bytes[at]!;
    if (bits < 128) return readAscii(bytes, start, length);
  }
  const text = bytes.toString('utf8', start, start + length);
  // What is no UTF-8 is read as U+FFFD, which a text may also hold of its own.
  return text.includes('\uFFFD') && !isUtf8(bytes.subarray(start, start + length)) ? undefined : text;
}

/** One call with a fixed number of arguments makes one string: quicker than spreading them, or than joining parts. */
function readAscii(b: Buffer, i: number, length: number): string {
  switch (length) {
    case 0:
      return '';
    case 1:
      return fromCharCode(b[i]!);
    case 2:
      return fromCharCode(b[i]!, b[i + 1]!);
    case 3:
      return fromCharCode(b[i]!, b[i + 1]!, b[i + 2]!);
    case 4:
      return fromCharCode(b[i]!, b[i + 1]!, b[i + 2]!, b[i + 3]!);
    case 5:
      return fromCharCode(b[i]!, b[i + 1]!, b[i + 2]!, b[i + 3]!, b[i + 4]!);
    case 6:
      return fromCharCode(b[i]!, b[i + 1]!, b[i + 2]!, b[i + 3]!, b[i + 4]!, b[i + 5]!);
    case 7:
      return fromCharCode(b[i]!, b[i + 1]!, b[i + 2]!, b[i + 3]!, b[i + 4]!, b[i + 5]!, b[i + 6]!);
    case 8:
      return fromCharCode(b[i]!, b[i + 1]!, b[i + 2]!, b[i + 3]!, b[i + 4]!, b[i + 5]!, b[i + 6]!, b[i + 7]!);
    default:
      // Less than 13 characters are joined by copying, so this is no rope.
      return readAscii(b, i, 8) + readAscii(b, i + 8, length - 8);
  }
}
