// The initial inputs of the fuzzer, and a dictionary of parts.
import { readFileSync } from 'node:fs';
import { frameDictionary, frameSeeds } from './seed-frames.mjs';
import { requestDictionary, requestSeeds } from './seed-requests.mjs';

const test = new URL('../../libs/fedecks/test/', import.meta.url);
const MAX_SEED_BYTES = 2_048;

/** The seeds of a target, including its past faults, and its dictionary. */
export function startOf(name) {
  const { seeds, dictionary } = kindOf(name);
  const faults = readJson('fuzz-corpus.json').filter(({ target }) => target === name);
  return { seeds: [...seeds, ...faults.map(({ hex }) => Buffer.from(hex, 'hex'))], dictionary };
}

function kindOf(name) {
  if (name === 'upgrade') return { seeds: requestSeeds, dictionary: requestDictionary };
  const terms = termSeeds();
  if (name !== 'frames' && name !== 'device') return { seeds: terms, dictionary: termDictionary };
  return { seeds: frameSeeds(terms), dictionary: [...frameDictionary, ...termDictionary] };
}

function readJson(file) {
  return JSON.parse(readFileSync(new URL(file, test), 'utf8'));
}

/** Terms written by Erlang, valid and invalid, in all encodings. */
function termSeeds() {
  return [...readJson('vectors/accepted.json'), ...readJson('vectors/refused.json')]
    .flatMap((vector) =>
      Object.entries(vector)
        .filter(([name]) => name.endsWith('_hex'))
        .map(([, hex]) => Buffer.from(hex, 'hex')),
    )
    .filter(({ length }) => length <= MAX_SEED_BYTES);
}

/** Names with a meaning in the protocol or JavaScript. */
const WORDS = [
  'token_please',
  'token',
  'fedecks-device-id',
  'fedecks-token',
  '__proto__',
  '__struct__',
  'event',
];

/** Small terms, and prefixes of terms. */
const termDictionary = [
  '6a',
  '6100',
  '6101',
  '6201000000',
  '463ff0000000000000',
  '460000000000000000',
  '468000000000000000',
  '467ff8000000000000',
  '6e06000000000000ff',
  '6e0800ffffffffffffff7f',
  '6f000001000001',
  '770474727565',
  '77026f6b',
  '77036e696c',
  '6d00000000',
  '6d0000000161',
  '6d00000001ff',
  '4d000000010801',
  '4d00000001030a',
  '4d0000000008',
  '6b00020102',
  '6c00000001',
  '6c00000000',
  '6800',
  '6802',
  '7400000000',
  '7400000002',
  '7400000002610161026e0100016103',
  '58770161000000010000000200000003',
  '5a00017701610000000100000002',
].map((hex) => Buffer.from(hex, 'hex'));
for (const word of WORDS) {
  const text = Buffer.from(word);
  termDictionary.push(
    Buffer.concat([Buffer.from([107, 0, text.length]), text]),
    Buffer.concat([Buffer.from([109, 0, 0, 0, text.length]), text]),
    Buffer.concat([Buffer.from([119, text.length]), text]),
  );
}
