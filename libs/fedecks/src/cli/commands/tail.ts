import { explain } from '../../client/index.js';
import { decodeTerm, encodeTerm, type Term } from '../../wire/internal.js';
import { type Command } from '../command.js';
import { deviceOf } from '../device.js';
import { toElixir } from '../elixir.js';
import { EXIT } from '../exit.js';
import { jsonLine, sanitize } from '../printable.js';
import { LOGIN_OPTIONS, loginOf } from '../logins.js';
import { stayConnected } from '../stay-connected.js';
import { toJson } from '../term-json.js';

const SENTENCE_CHARACTERS = 1_000;
const LOSSLESS = { maps: 'map', binaries: 'bytes' } as const;

export const tail: Command = {
  name: 'tail',
  usage: '[options]',
  about:
    'Stays connected, and prints each state of the client, each failure and each message, with its time.',
  operands: [0, 0],
  options: {
    elixir: { help: 'print messages in Elixir notation instead of JSON' },
    ...LOGIN_OPTIONS,
  },
  examples: ['fedecks tail', 'fedecks tail --elixir'],
  notes:
    'It exits when only a login would help. It shows only this device, not other devices.\n' +
    'Times are in UTC, by the clock of this machine. For other programs, use `fedecks listen`.',
  async run(args, signal) {
    const asElixir = args.has('elixir');
    const login = await loginOf(args);
    const device = await deviceOf(login);
    device.events$.subscribe((event) => {
      print(sanitize(explain(event), SENTENCE_CHARACTERS));
    });
    device.messages$.subscribe((message) => {
      print(`message  ${asElixir ? inElixir(message) : jsonLine(toJson(message))}`);
    });
    await stayConnected(device, login, signal);
    return EXIT.ok;
  },
};

function print(what: string): void {
  process.stdout.write(`${new Date().toISOString()}  ${what}\n`);
}

/** The client decodes messages for JavaScript; Elixir notation needs more detail. */
function inElixir(message: Term): string {
  return toElixir(decodeTerm(encodeTerm(message), LOSSLESS));
}
