// decodeTerm must return a term or throw a TermDecodeError. A losslessly decoded term must survive encoding and decoding.
import { decodeTerm, encodeTerm, TermDecodeError } from '../../../libs/fedecks/dist/wire/index.js';

const LOSSLESS = { maps: 'map', binaries: 'bytes' };
const MODES = [undefined, LOSSLESS, { maps: 'map' }, { maps: 'auto', binaries: 'bytes' }];

let turn = 0;

/** Decodes each input with one of four options in turn: interesting inputs are run again. */
export function run(bytes) {
  readIn(MODES[turn++ & 3], bytes);
}

/** Decodes with all options, to replay one input. */
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
