// decodeTerm: whatever the bytes, a term or a TermDecodeError. What is read without loss is written and read again alike.
import { decodeTerm, encodeTerm, TermDecodeError } from '../../../libs/fedecks/dist/wire/index.js';

const LOSSLESS = { maps: 'map', binaries: 'bytes' };
const MODES = [undefined, LOSSLESS, { maps: 'map' }, { maps: 'auto', binaries: 'bytes' }];

let turn = 0;

/** Each input is read in one of four ways, in turn: what is worth keeping comes again. */
export function run(bytes) {
  readIn(MODES[turn++ & 3], bytes);
}

/** All ways, for an input that is looked at by itself. */
export function runAlone(bytes) {
  for (const mode of MODES) readIn(mode, bytes);
}

function readIn(mode, bytes) {
  let term;
  try {
    term = decodeTerm(bytes, mode);
  } catch (error) {
    if (error instanceof TermDecodeError) return;
    throw error;
  }
  if (mode !== LOSSLESS) return;
  const written = encodeTerm(term);
  const again = encodeTerm(decodeTerm(written, LOSSLESS));
  if (!written.equals(again))
    throw new Error(
      `written as ${written.toString('hex')}, and after reading that as ${again.toString('hex')}`,
    );
}
