import { BadGatewayException, GatewayTimeoutException, Injectable } from '@nestjs/common';
import {
  BackplaneError,
  DeviceOfflineError,
  Fedecks,
  NotSupportedError,
  type PushResult,
} from '@fedecks/nest';
import { eventOf, type Term } from '@fedecks/nest/wire';
import { catchError, firstValueFrom, from, mergeMap, of, reduce, take, timeout, toArray } from 'rxjs';
import { DeviceSelection } from '../devices/device-selection.js';
import { type BroadcastResultDto } from './broadcast.dto.js';
import { sendErrorOf } from './send-errors.js';
import { SentMessages } from '../../recording/sent-messages.js';

/** How many devices a broadcast writes to at once. */
const CONCURRENCY = 50;
/** How long, in milliseconds, a device may take between two lines of its log. */
const LOG_TIMEOUT_MS = 10_000;
/** How many characters of a line of a log are shown. */
const MAX_LINE_CHARACTERS = 4_096;

/** Sends to devices that are connected, with errors as HTTP statuses. */
@Injectable()
export class DeviceMessenger {
  constructor(
    private readonly fedecks: Fedecks,
    private readonly sent: SentMessages,
    private readonly selection: DeviceSelection,
  ) {}

  async push(deviceId: string, message: Term): Promise<PushResult> {
    const result = await this.fedecks.push(deviceId, message).catch(fail);
    if (result === 'sent') this.recordMessage(deviceId, message);
    return result;
  }

  async request(deviceId: string, event: string, payload: Term, timeoutMs?: number): Promise<Term> {
    const options = timeoutMs === undefined ? {} : { timeoutMs };
    try {
      const answer = await this.fedecks.request(deviceId, event, payload, options);
      this.sent.record(deviceId, event, payload);
      return answer;
    } catch (error) {
      const shown = sendErrorOf(error);
      // Known errors of the library: it was sent, unless it is one of these.
      const isUnsent =
        shown === error ||
        error instanceof DeviceOfflineError ||
        error instanceof NotSupportedError ||
        error instanceof BackplaneError;
      if (!isUnsent) this.sent.record(deviceId, event, payload);
      throw shown;
    }
  }

  /** To each device with all of these tags. */
  async broadcast(tags: readonly string[], message: Term): Promise<BroadcastResultDto> {
    const { known } = await this.selection.select({ tags });
    const pushes = from(known).pipe(
      mergeMap(
        (id) =>
          from(this.fedecks.push(id, message).then((result) => this.onPushed(id, message, result))).pipe(
            catchError((error: unknown) => {
              // The same for every device, unless the other nodes do not answer.
              if (error instanceof BackplaneError && error.code !== 'too-large') return of('failed' as const);
              throw sendErrorOf(error);
            }),
          ),
        CONCURRENCY,
      ),
      reduce((counts, result) => ({ ...counts, [result]: counts[result] + 1 }), {
        sent: 0,
        offline: 0,
        failed: 0,
      }),
    );
    return firstValueFrom(pushes);
  }

  /** The newest lines of the log of an agent, the oldest of them first. */
  async log(deviceId: string, lines: number): Promise<string[]> {
    const stream = this.fedecks.stream(deviceId, 'logs', { lines, follow: false }).pipe(
      timeout({
        each: LOG_TIMEOUT_MS,
        with: () => {
          throw new GatewayTimeoutException({
            code: 'timeout',
            text: `The device has sent no line for ${LOG_TIMEOUT_MS} ms.`,
          });
        },
      }),
      // One more: the agent says how many lines it has forgotten meanwhile. A device could go on for ever.
      take(lines + 1),
      toArray(),
    );
    const answers = await firstValueFrom(stream).catch(fail);
    return answers.map((line) => {
      if (typeof line !== 'string')
        throw new BadGatewayException({ code: 'invalid', text: 'A line of the log is no text.' });
      return line.length > MAX_LINE_CHARACTERS ? `${line.slice(0, MAX_LINE_CHARACTERS)}...` : line;
    });
  }

  private onPushed(deviceId: string, message: Term, result: PushResult): PushResult {
    if (result === 'sent') this.recordMessage(deviceId, message);
    return result;
  }

  private recordMessage(deviceId: string, message: Term): void {
    const event = eventOf(message);
    this.sent.record(deviceId, event?.name ?? null, event ? event.payload : message);
  }
}

function fail(error: unknown): never {
  throw sendErrorOf(error);
}
