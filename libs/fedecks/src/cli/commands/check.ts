import { DEVICE_ID_KEY, encodeAuthHeader, TermEncodeError, TOKEN_KEY } from '../../wire/internal.js';
import { type Args, type Command } from '../command.js';
import { explainAnswer, type Presented } from '../check/explain-answer.js';
import { placeOf, reach, reachThrough } from '../check/reach.js';
import { codeOf, type Patience, type Report, StepFailure, TimeoutError } from '../check/steps.js';
import { startTls, speaksTls, type TlsFiles } from '../check/tls.js';
import { type Answer, askForUpgrade } from '../check/upgrade.js';
import { ASK_OPTION, CREDENTIALS_NOTE, readCredentials } from '../credentials.js';
import { Cancelled, CommandError, EXIT, type ExitStatus, UsageError } from '../exit.js';
import { proxyOf, requireId, TLS_OPTIONS, tlsFilesOf, tlsOf, tokenStoreOf } from '../logins.js';
import { sanitize } from '../printable.js';

const TIMEOUT_S = 10;

export const check: Command = {
  name: 'check',
  usage: 'URL [options]',
  about:
    'Connects like a device, step by step: DNS, TCP, proxy, TLS, upgrade. Says what to do at the first step that fails.',
  operands: [1, 1],
  options: {
    id: { value: 'ID', help: 'connect as this device, with the token of its login on this machine' },
    login: { help: 'with --id: use credentials instead of the token' },
    ask: ASK_OPTION,
    timeout: { value: 'SECONDS', help: `timeout of each step (default: ${TIMEOUT_S})` },
    ...TLS_OPTIONS,
  },
  examples: [
    'fedecks check wss://cloud.example.com/fedecks/websocket',
    'fedecks check wss://cloud.example.com/fedecks/websocket --id poke-1 --login',
    'https_proxy=http://proxy.example.com:3128 fedecks check wss://cloud.example.com/fedecks/websocket',
  ],
  notes:
    'Without --id, it sends no credentials: the expected result is a rejection, and no device is affected.\n' +
    'With --id, it replaces the connection of a device with this id.\n' +
    'It uses the proxy of the environment (https_proxy, http_proxy, all_proxy, no_proxy), but none for localhost.\n' +
    CREDENTIALS_NOTE,
  async run(args, signal) {
    const url = urlOf(args.operands[0] ?? '');
    const timeoutMs = (args.number('timeout', { min: 0.001, max: 3_600 }) ?? TIMEOUT_S) * 1000;
    const files = await tlsOf(tlsFilesOf(args));
    const { header, presented } = await present(url, args, signal);
    const work = new Check(url, files ?? {}, { timeoutMs, signal });
    try {
      const answer = await work.ask(header);
      report('upgrade', explainAnswer(answer, url, presented, await work.isTlsAfterAll(answer)));
      process.stdout.write('All steps succeeded.\n');
      return EXIT.ok;
    } catch (error) {
      if (signal.aborted) throw new Cancelled();
      if (error instanceof StepFailure) return printFailure(error);
      throw error;
    }
  },
};

/** Runs the steps for one URL. */
class Check {
  private readonly isSecure: boolean;
  private readonly proxy: string | undefined;

  constructor(
    private readonly url: URL,
    private readonly files: TlsFiles,
    private readonly patience: Patience,
  ) {
    this.isSecure = url.protocol === 'wss:';
    this.proxy = proxyOf(url.href);
  }

  async ask(header: string | undefined): Promise<Answer> {
    const { url, files, patience } = this;
    const place = this.place;
    const tcp = await (this.proxy === undefined
      ? reach(place, patience, report)
      : reachThrough(this.proxy, place, patience, report));
    const socket = this.isSecure ? await startTls(tcp, place.host, files, patience, report) : tcp;
    try {
      return await askForUpgrade(socket, url.href, header, patience);
    } catch (error) {
      if (patience.signal.aborted || !(error instanceof TimeoutError)) throw error;
      if (await this.isTlsAfterAll({ type: 'broken', reason: codeOf(error) }))
        return { type: 'broken', reason: error.message };
      throw new StepFailure('upgrade', error.message, [
        'The server accepts the connection but does not answer: check whether the app hangs, or speaks another protocol.',
      ]);
    }
  }

  /** Whether a port that did not answer in HTTP to a ws:// URL speaks TLS. */
  async isTlsAfterAll(answer: Answer): Promise<boolean> {
    if (answer.type !== 'broken' || this.isSecure || this.proxy !== undefined) return false;
    const { place, patience } = this;
    const tcp = await reach(place, patience, () => undefined).catch(() => undefined);
    return tcp !== undefined && (await speaksTls(tcp, place.host, patience));
  }

  private get place(): ReturnType<typeof placeOf> {
    return placeOf(this.url, this.isSecure ? 443 : 80);
  }
}

const report: Report = (step, detail) => {
  process.stdout.write(`${step.padEnd(8)} ok      ${detail}\n`);
};

function printFailure({ step, message, advice, status }: StepFailure): ExitStatus {
  process.stdout.write(`${step.padEnd(8)} FAILED  ${message}\n`);
  process.stdout.write(['What to do:', ...advice.map((line) => `  ${line}`), ''].join('\n'));
  return status;
}

function urlOf(text: string): URL {
  const example = 'wss://cloud.example.com/fedecks/websocket';
  if (!URL.canParse(text)) throw new UsageError(`The URL must be like ${example}.`);
  const url = new URL(text);
  if (url.protocol === 'http:' || url.protocol === 'https:') {
    const scheme = url.protocol.replace('http', 'ws');
    throw new UsageError(
      `The URL must begin with ${scheme}// instead of ${url.protocol}//, like ${example}.`,
    );
  }
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:')
    throw new UsageError(`The URL must be like ${example}.`);
  if (url.username !== '' || url.password !== '')
    throw new UsageError(
      'The URL must not contain a user name or password: use --login to enter credentials.',
    );
  url.hash = '';
  return url;
}

/** The auth header, and what it contains. */
async function present(
  url: URL,
  args: Args,
  signal: AbortSignal,
): Promise<{ readonly header: string | undefined; readonly presented: Presented }> {
  const id = args.text('id');
  if (args.has('login')) {
    const deviceId = requireId(args);
    const credentials = await readCredentials(args.texts('ask'), signal);
    return { header: headerOf({ ...credentials, [DEVICE_ID_KEY]: deviceId }), presented: 'credentials' };
  }
  if (id === undefined) return { header: undefined, presented: 'nothing' };
  const problems: string[] = [];
  const login = { url: args.operands[0] ?? '', deviceId: id };
  const token = await tokenStoreOf(login).load((reason) => problems.push(reason));
  if (token === undefined) {
    const why = problems.length === 0 ? 'no login on this machine' : sanitize(problems.join(' '));
    throw new CommandError(
      `No token for ${sanitize(id)} at ${sanitize(url.href)}: ${why}. To use credentials, add --login.`,
    );
  }
  return { header: headerOf({ [DEVICE_ID_KEY]: id, [TOKEN_KEY]: token }), presented: 'token' };
}

function headerOf(fields: Parameters<typeof encodeAuthHeader>[0]): string {
  try {
    return encodeAuthHeader(fields);
  } catch (error) {
    if (error instanceof TermEncodeError) throw new CommandError(`Invalid credentials: ${error.message}.`);
    throw error;
  }
}
