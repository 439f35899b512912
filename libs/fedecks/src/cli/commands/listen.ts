import { explain, isFailure } from '../../client/index.js';
import { type Command } from '../command.js';
import { deviceOf } from '../device.js';
import { CommandError, EXIT } from '../exit.js';
import { printError, jsonLine } from '../printable.js';
import { LOGIN_OPTIONS, loginOf } from '../logins.js';
import { NOTATION_NOTE } from '../notation.js';
import { stayConnected } from '../stay-connected.js';
import { toJson } from '../term-json.js';

export const listen: Command = {
  name: 'listen',
  usage: '[options]',
  about:
    'Stays connected, and prints each message from the cloud as a line of JSON. Writes failures to standard error.',
  operands: [0, 0],
  options: {
    count: { value: 'N', short: 'n', help: 'exit after N messages' },
    ...LOGIN_OPTIONS,
  },
  examples: ['fedecks listen', 'fedecks listen | jq .data', 'fedecks listen --count 1'],
  notes: `It reconnects when the connection is lost, and exits when only a login would help.\n\n${NOTATION_NOTE}`,
  async run(args, signal) {
    const count = args.integer('count', { min: 1, max: Number.MAX_SAFE_INTEGER }) ?? Infinity;
    const login = await loginOf(args);
    const device = await deviceOf(login);
    const enough = new AbortController();
    let printed = 0;
    device.messages$.subscribe((message) => {
      if (printed >= count) return;
      process.stdout.write(`${jsonLine(toJson(message))}\n`);
      if (++printed >= count) enough.abort();
    });
    device.events$.subscribe((event) => {
      if (isFailure(event)) printError(explain(event));
    });
    await stayConnected(device, login, AbortSignal.any([signal, enough.signal]));
    if (printed < count && count !== Infinity)
      throw new CommandError(`Stopped after ${printed} of ${count} messages.`);
    return EXIT.ok;
  },
};
