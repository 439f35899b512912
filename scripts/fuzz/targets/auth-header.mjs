// decodeAuthHeader must return a device id that fits into a ping, or the problem of the header, and never throw.
import { decodeAuthHeader } from '../../../libs/fedecks/dist/wire/internal.js';

let turn = 0;

/** Three of four inputs are the header's term, the fourth is the header's text. */
export function run(bytes) {
  read(turn++ & 3 ? bytes.toString('base64') : bytes.toString('latin1'));
}

export function runAlone(bytes) {
  read(bytes.toString('base64'));
  read(bytes.toString('latin1'));
}

function read(value) {
  const header = decodeAuthHeader(value);
  if (!header.ok) {
    if (typeof header.info !== 'string') throw new Error('a header refused without a reason');
    return;
  }
  const { deviceId, credentials } = header;
  if (typeof deviceId !== 'string' || deviceId === '' || Buffer.byteLength(deviceId) > 125)
    throw new Error('a device id that is empty, too long or no string');
  if (typeof credentials !== 'object' || credentials === null)
    throw new Error('credentials that are no object');
}
