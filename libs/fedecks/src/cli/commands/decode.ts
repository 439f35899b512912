import { type Command } from '../command.js';
import { Cancelled, EXIT, UsageError } from '../exit.js';
import { readSmallFile, readStdin } from '../input.js';
import { NOTATION_NOTE } from '../notation.js';
import { bytesIn, ENCODINGS, MAX_TEXT_BYTES, NOTATIONS, write } from '../term-text.js';

export const decode: Command = {
  name: 'decode',
  usage: '[BYTES] [options]',
  about: 'Prints the term in the given bytes: from the argument, a file, or standard input. Sends nothing.',
  operands: [0, 1],
  options: {
    file: { value: 'FILE', short: 'f', help: 'read this file' },
    from: {
      value: 'FORM',
      help: 'hex, base64 or raw (default: detect; also detects <<131, ...>>)',
    },
    to: { value: 'FORM', help: 'json, elixir, hex, base64 or raw (default: json)' },
  },
  examples: [
    'fedecks decode 8368026400026f6b6101',
    'fedecks decode g2gCZAACb2thAQ== --to elixir',
    `fedecks decode '<<131, 104, 2, 100, 0, 2, 111, 107, 97, 1>>'`,
    'fedecks decode --file message.etf',
    'xxd -p message.etf | fedecks decode',
  ],
  notes: `${NOTATION_NOTE}\n\nJSON shows the value that a JavaScript handler receives; Elixir notation shows every distinction.`,
  async run(args, signal) {
    const [given] = args.operands;
    const file = args.text('file');
    const from = args.text('from') === undefined ? undefined : args.oneOf('from', ENCODINGS, 'hex');
    const to = args.oneOf('to', NOTATIONS, 'json');
    if (given !== undefined && file !== undefined)
      throw new UsageError('Give the bytes or --file, not both.');
    const input =
      given !== undefined
        ? Buffer.from(given)
        : file !== undefined
          ? await readSmallFile(file, MAX_TEXT_BYTES)
          : await readStdin(MAX_TEXT_BYTES, signal);
    if (signal.aborted) throw new Cancelled();
    process.stdout.write(write(bytesIn(input, from), to));
    return EXIT.ok;
  },
};
