import {
  ConnectionLostError,
  type FedecksClient,
  RequestFailedError,
  RequestTimeoutError,
} from '../../client/index.js';
import { type Term, TermEncodeError } from '../../wire/internal.js';
import { type Command } from '../command.js';
import { connect, deviceOf } from '../device.js';
import { Cancelled, CommandError, EXIT, UsageError } from '../exit.js';
import { LOGIN_OPTIONS, loginOf } from '../logins.js';
import { NOTATION_NOTE, readPayload } from '../notation.js';
import { jsonLine } from '../printable.js';
import { toJson } from '../term-json.js';

export const request: Command = {
  name: 'request',
  usage: 'EVENT [JSON|-] [options]',
  about:
    'Sends an event with a payload (default: null) as a request, and prints the answer as a line of JSON. ' +
    'With -, it reads the payload from standard input.',
  operands: [1, 2],
  options: {
    timeout: {
      value: 'SECONDS',
      short: 't',
      help: 'timeout of the answer (default: 30, at most 600)',
    },
    stream: { help: 'print each value of the answer as a line, until it ends or Ctrl-C' },
    ...LOGIN_OPTIONS,
  },
  examples: [
    `fedecks request config '{"version":7}'`,
    'fedecks request config --timeout 5',
    'fedecks request readings --stream | jq .celsius',
    'fedecks request photo - < photo.json',
  ],
  notes:
    'The answer is the result of the handler in the cloud, or null without a result. Ctrl-C cancels the request.\n' +
    `Put -- before a payload that begins with -.\n\n${NOTATION_NOTE}`,
  async run(args, signal) {
    const [event = '', json = 'null'] = args.operands;
    const timeoutS = args.number('timeout', { min: 0.001, max: 600 });
    const isStream = args.has('stream');
    if (isStream && timeoutS !== undefined)
      throw new UsageError(
        'Remove --timeout or --stream: a stream has no timeout, and ends with its last value or at Ctrl-C.',
      );
    const payload = await readPayload(json, signal);
    const login = await loginOf(args);
    const device = await deviceOf(login);
    try {
      await connect(device, login, signal);
      if (isStream) await printAll(device, event, payload, signal);
      else print(await device.request(event, payload, { timeoutMs: (timeoutS ?? 30) * 1000, signal }));
    } catch (error) {
      throw signal.aborted ? new Cancelled() : failureOf(error);
    } finally {
      await device.stop();
    }
    return EXIT.ok;
  },
};

/** Resolves at the end of the stream, and at Ctrl-C. */
async function printAll(
  device: FedecksClient,
  event: string,
  payload: Term,
  signal: AbortSignal,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const subscription = device.stream(event, payload).subscribe({
      next: print,
      complete: resolve,
      error: reject,
    });
    signal.addEventListener('abort', () => {
      subscription.unsubscribe();
      resolve();
    });
  });
}

function print(value: Term): void {
  process.stdout.write(`${jsonLine(toJson(value))}\n`);
}

function failureOf(error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  if (error instanceof TermEncodeError) return new CommandError(`The payload is invalid: ${error.message}.`);
  const { message } = error as Error;
  if (error instanceof RequestFailedError) return new CommandError(message, EXIT.noResult);
  const isUnknown = error instanceof RequestTimeoutError || error instanceof ConnectionLostError;
  return new CommandError(message, isUnknown ? EXIT.unknown : EXIT.failure);
}
