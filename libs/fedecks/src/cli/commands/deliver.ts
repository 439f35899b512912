import {
  type ClientEvent,
  type DeliverOptions,
  explain,
  type FedecksClient,
  isFailure,
  MemoryOutboxStore,
  type OutboxFlow,
  OutboxFullError,
  OutboxStoreError,
} from '../../client/index.js';
import { TermEncodeError } from '../../wire/internal.js';
import { type Args, type Command } from '../command.js';
import { deviceOf, explainFailure } from '../device.js';
import { Cancelled, CommandError, EXIT, UsageError } from '../exit.js';
import { type Login, LOGIN_OPTIONS, loginOf } from '../logins.js';
import { NOTATION_NOTE, readPayload } from '../notation.js';
import { printError, sanitize } from '../printable.js';

const YEAR_S = 31_536_000;
/** How long a message takes until the user is told what it waits for. */
const SILENT_MS = 3_000;

export const deliver: Command = {
  name: 'deliver',
  usage: 'EVENT [JSON|-] [options]',
  about:
    'Delivers an event with a payload (default: null): connects again until the cloud has handled it, and prints what ' +
    'became of it. With -, it reads the payload from standard input.',
  operands: [1, 2],
  options: {
    ttl: { value: 'SECONDS', help: 'give up after this time (default: 604800, which is 7 days)' },
    // `--key` is a file of TLS.
    'message-key': { value: 'KEY', help: 'replace a message with this key that waits in the lane' },
    lane: { value: 'NAME', help: 'the lane, in which order holds (default: default)' },
    outbox: {
      value: 'DIR',
      help: 'keep the message in this directory, also when interrupted (default: in memory)',
    },
    ...LOGIN_OPTIONS,
  },
  examples: [
    `fedecks deliver reading '{"celsius":27.5}'`,
    `fedecks deliver reading '{"celsius":27.5}' --ttl 60`,
    'fedecks deliver alarm --lane alarms --outbox ./outbox',
    'fedecks deliver photo - < photo.json',
  ],
  notes:
    'Prints handled, rejected, expired or dropped, with the reason. A message in a directory is delivered by the next\n' +
    '`deliver` with this directory, before the new one if it is in the same lane.\n' +
    `Put -- before a payload that begins with -.\n\n${NOTATION_NOTE}`,
  async run(args, signal) {
    const [event = '', json = 'null'] = args.operands;
    const options = deliverOptionsOf(args);
    const payload = await readPayload(json, signal);
    const login = await loginOf(args);
    const directory = args.text('outbox');
    if (directory === '') throw new UsageError('--outbox is empty: name a directory.');
    const device = await deviceOf(login, directory ?? new MemoryOutboxStore());
    try {
      // Before a connection: with a directory it is kept in any case.
      const { id } = await device.deliver(event, payload, options).catch((error: unknown) => {
        throw failureOf(error);
      });
      const outcome = await outcomeOf(device, id, login, signal).catch((error: unknown) => {
        if (directory === undefined || !(error instanceof CommandError)) throw error;
        throw new CommandError(`${error.message}\nThe message stays in ${directory}.`, error.status);
      });
      process.stdout.write(`${sanitize(outcome.text, Infinity)}\n`);
      return outcome.isHandled ? EXIT.ok : EXIT.notHandled;
    } finally {
      await device.stop();
    }
  },
};

function deliverOptionsOf(args: Args): DeliverOptions {
  const ttlS = args.number('ttl', { min: 0.001, max: YEAR_S });
  const key = args.text('message-key');
  const lane = args.text('lane');
  return {
    ...(ttlS !== undefined && { ttlMs: ttlS * 1000 }),
    ...(key !== undefined && { key }),
    ...(lane !== undefined && { lane }),
  };
}

/** What a message waits for, by the state of the outbox. */
const WAITS_FOR: Readonly<Record<OutboxFlow, string>> = {
  flowing:
    'the handler of the cloud still runs or has failed, or an earlier message of the lane waits. What has failed is tried ' +
    'again after 1 s, 4 s, 16 s and 60 s: see the log of the cloud.',
  waiting: 'connected, but the cloud has not yet said what it has handled.',
  offline: 'not connected. It connects again until the message has expired.',
  not_supported: 'the cloud speaks protocol 1, without deliveries.',
  failed: 'the outbox cannot be used.',
  none: 'there is no outbox.',
};

interface Outcome {
  readonly text: string;
  readonly isHandled: boolean;
}

/**
 * Connects, and resolves with what became of a message.
 * @throws {CommandError} (rejects) when only a login or another cloud would help, or when `signal` is aborted.
 */
function outcomeOf(device: FedecksClient, id: string, login: Login, signal: AbortSignal): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const told = setTimeout(
      () => printError(`Not handled yet: ${WAITS_FOR[device.outbox.state]}`),
      SILENT_MS,
    );
    // The outcome or a failure, after which the device stops.
    device.events$.subscribe({ complete: () => clearTimeout(told) });
    device.events$.subscribe((event) => {
      const outcome = 'id' in event && event.id === id ? describe(event) : undefined;
      if (outcome) resolve(outcome);
      else if (event.type === 'unregistered' || event.type === 'token_refused')
        reject(new CommandError(explainFailure(event, login)));
      else if (event.type === 'connected' && device.outbox.state === 'not_supported')
        reject(new CommandError('The cloud speaks protocol 1, without deliveries: use `fedecks send`.'));
      else if (isFailure(event)) printError(explain(event));
    });
    signal.addEventListener('abort', () => reject(new Cancelled()));
    if (signal.aborted) return reject(new Cancelled());
    device.start().catch(reject);
  });
}

function describe(event: ClientEvent): Outcome | undefined {
  switch (event.type) {
    case 'delivered':
      return { text: 'handled', isHandled: true };
    case 'delivery_rejected':
      return { text: withReason('rejected', event.code, event.text), isHandled: false };
    case 'delivery_expired':
      return { text: 'expired', isHandled: false };
    case 'delivery_dropped':
      return { text: withReason('dropped', event.cause, event.text), isHandled: false };
    default:
      return undefined;
  }
}

function withReason(outcome: string, code: string, text = ''): string {
  return `${outcome} (${code})${text === '' ? '' : `: ${text}`}`;
}

function failureOf(error: unknown): CommandError {
  if (error instanceof TermEncodeError) return new CommandError(`The payload is invalid: ${error.message}.`);
  if (error instanceof OutboxFullError || error instanceof OutboxStoreError)
    return new CommandError(error.message);
  return new UsageError((error as Error).message);
}
