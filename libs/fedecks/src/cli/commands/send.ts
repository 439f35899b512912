import { type Subscription } from 'rxjs';
import { explain, type FedecksClient } from '../../client/index.js';
import { type Term, TermEncodeError } from '../../wire/internal.js';
import { type Command } from '../command.js';
import { connect, deviceOf } from '../device.js';
import { Cancelled, CommandError, EXIT } from '../exit.js';
import { jsonLine } from '../printable.js';
import { LOGIN_OPTIONS, loginOf } from '../logins.js';
import { NOTATION_NOTE, readPayload } from '../notation.js';
import { toJson } from '../term-json.js';

export const send: Command = {
  name: 'send',
  usage: 'EVENT [JSON|-] [options]',
  about:
    'Sends an event with a payload (default: null), and exits. With -, it reads the payload from standard input.',
  operands: [1, 2],
  options: {
    wait: {
      value: 'SECONDS',
      short: 'w',
      help: 'print the next message from the cloud, or fail after this time',
    },
    ...LOGIN_OPTIONS,
  },
  examples: [
    `fedecks send temperature '{"celsius":27.5}'`,
    `fedecks send temperature '{"celsius":27.5}' --wait 5`,
    `fedecks send offset -- -5`,
    `fedecks send photo - < photo.json`,
  ],
  notes:
    'Success means that the event was written to the connection, not that a handler has run: use --wait for its reply.\n' +
    `Put -- before a payload that begins with -.\n\n${NOTATION_NOTE}`,
  async run(args, signal) {
    const [event = '', json = 'null'] = args.operands;
    const waitS = args.number('wait', { min: 0.001, max: 86_400 });
    const payload = await readPayload(json, signal);
    const login = await loginOf(args);
    const device = await deviceOf(login);
    try {
      const reply = waitS === undefined ? undefined : new Reply(device, waitS, signal);
      await connect(device, login, signal);
      reply?.begin();
      await write(device, event, payload);
      if (reply) process.stdout.write(`${jsonLine(toJson(await reply.message))}\n`);
    } finally {
      await device.stop();
    }
    return EXIT.ok;
  },
};

async function write(device: FedecksClient, event: string, payload: Term): Promise<void> {
  try {
    await device.send(event, payload);
  } catch (error) {
    if (error instanceof TermEncodeError) throw new CommandError(`The payload is invalid: ${error.message}.`);
    throw new CommandError(`Not sent. ${(error as Error).message}`);
  }
}

/** The first message after the event was sent, or the reason why there is none. */
class Reply {
  readonly message: Promise<Term>;
  private readonly subscriptions: Subscription[] = [];
  private timer: NodeJS.Timeout | undefined;
  private isWaiting = false;
  private settle!: { readonly resolve: (message: Term) => void; readonly reject: (error: Error) => void };

  constructor(
    device: FedecksClient,
    private readonly waitS: number,
    signal: AbortSignal,
  ) {
    this.message = new Promise<Term>((resolve, reject) => (this.settle = { resolve, reject })).finally(() => {
      clearTimeout(this.timer);
      for (const each of this.subscriptions) each.unsubscribe();
    });
    // Nobody awaits it if send() has failed.
    this.message.catch(() => undefined);
    this.subscriptions.push(
      device.messages$.subscribe((message) => {
        if (this.isWaiting) this.settle.resolve(message);
      }),
      device.events$.subscribe((event) => {
        if (event.type === 'connection_lost') this.fail(`No message arrived. ${explain(event)}.`);
      }),
    );
    signal.addEventListener('abort', () => this.settle.reject(new Cancelled()), { once: true });
  }

  begin(): void {
    this.isWaiting = true;
    this.timer = setTimeout(() => this.fail(`No message arrived within ${this.waitS} s.`), this.waitS * 1000);
  }

  private fail(problem: string): void {
    this.settle.reject(new CommandError(problem));
  }
}
