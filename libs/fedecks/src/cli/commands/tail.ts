import { explain } from '../../client/index.js';
import { decodeTerm, encodeTerm, type Term } from '../../wire/internal.js';
import { type Command } from '../command.js';
import { deviceOf } from '../device.js';
import { toElixir } from '../elixir.js';
import { EXIT } from '../exit.js';
import { jsonLine, plain } from '../printable.js';
import { LOGIN_OPTIONS, loginOf } from '../logins.js';
import { stay } from '../stay.js';
import { toJson } from '../term-json.js';

const SENTENCE_CHARACTERS = 1_000;
const LOSSLESS = { maps: 'map', binaries: 'bytes' } as const;

export const tail: Command = {
  name: 'tail',
  usage: '[options]',
  about:
    'Stays connected, and prints all that happens with its time: each state of the client, each failure, each message.',
  operands: [0, 0],
  options: {
    elixir: { help: 'print messages in the notation of Elixir, in place of JSON' },
    ...LOGIN_OPTIONS,
  },
  examples: ['fedecks tail', 'fedecks tail --elixir'],
  notes:
    'It ends when only a login would help. What other devices do is not shown: this is the view of this one.\n' +
    'Times are those of this machine, in UTC. For programs there is `fedecks listen`.',
  async run(args, signal) {
    const asElixir = args.has('elixir');
    const login = await loginOf(args);
    const device = await deviceOf(login);
    device.events$.subscribe((event) => {
      print(plain(explain(event), SENTENCE_CHARACTERS));
    });
    device.messages$.subscribe((message) => {
      print(`message  ${asElixir ? inElixir(message) : jsonLine(toJson(message))}`);
    });
    await stay(device, login, signal);
    return EXIT.ok;
  },
};

function print(what: string): void {
  process.stdout.write(`${new Date().toISOString()}  ${what}\n`);
}

/** What a client hands on is read for JavaScript; Elixir tells more apart. */
function inElixir(message: Term): string {
  return toElixir(decodeTerm(encodeTerm(message), LOSSLESS));
}
