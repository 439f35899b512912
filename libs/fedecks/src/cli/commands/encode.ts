import { type Command } from '../command.js';
import { Cancelled, EXIT, UsageError } from '../exit.js';
import { readSmallFile, readStdin } from '../input.js';
import { NOTATION_NOTE, parseTerm } from '../notation.js';
import { bytesOfTerm, MAX_TERM_BYTES, NOTATIONS, write } from '../term-text.js';

export const encode: Command = {
  name: 'encode',
  usage: '[JSON] [options]',
  about: 'Prints the bytes of a term in JSON: from the argument, a file, or standard input. Sends nothing.',
  operands: [0, 1],
  options: {
    file: { value: 'FILE', short: 'f', help: 'read this file' },
    to: { value: 'FORM', help: 'hex, base64, raw, elixir or json (default: hex)' },
  },
  examples: [
    `fedecks encode '{"$tuple":["fan",{"on":true}]}'`,
    `fedecks encode '{"$tuple":[{"$atom":"ok"},1]}' --to base64`,
    `fedecks encode --file message.json --to raw > message.etf`,
    `echo '[1,2,3]' | fedecks encode --to elixir`,
  ],
  notes: NOTATION_NOTE,
  async run(args, signal) {
    const [given] = args.operands;
    const file = args.text('file');
    const to = args.oneOf('to', NOTATIONS, 'hex');
    if (given !== undefined && file !== undefined) throw new UsageError('Give the JSON or --file, not both.');
    const input =
      given ??
      (file === undefined
        ? await readStdin(MAX_TERM_BYTES, signal)
        : await readSmallFile(file, MAX_TERM_BYTES)
      ).toString();
    if (signal.aborted) throw new Cancelled();
    process.stdout.write(write(bytesOfTerm(parseTerm(input, 'The input')), to));
    return EXIT.ok;
  },
};
