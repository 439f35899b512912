import { type ReceivedRequest } from '../requests/index.js';
import {
  type Contract,
  type EventName,
  type EventsOf,
  type PayloadReceived,
  type RequestErrorCode,
  type Term,
} from '../wire/internal.js';

/** A request of the cloud at a fake device. The test answers it: nothing else does. */
export class FakeRequest<Event extends string = string, Payload = Term> {
  /** Resolves when the cloud no longer waits: it has cancelled, the time is up, or the connection has ended. */
  readonly cancelled: Promise<void>;
  private isAnswered = false;

  /** @internal */
  constructor(
    private readonly request: ReceivedRequest,
    /** The name of the event. */
    readonly event: Event,
    /** The payload of the event. */
    readonly payload: Payload,
    /** How much time the cloud gave when it sent the request, in milliseconds; -1 for a stream, which has no limit. */
    readonly remainingMs: number,
  ) {
    this.cancelled = new Promise((resolve) => {
      request.onEnd = () => {
        if (!this.isAnswered) resolve();
      };
    });
    request.watch(performance.now());
  }

  /** Answers with a value. Answers that follow, and those after {@link cancelled}, are not sent. */
  reply(value: Term): void {
    this.isAnswered = true;
    this.request.reply(value);
  }

  /** Sends one of several values; then call {@link complete} or {@link fail}. */
  next(value: Term): void {
    this.request.next(value);
  }

  /** Says that all values were sent. */
  complete(): void {
    this.isAnswered = true;
    this.request.complete();
  }

  /** Answers that there is no result: the cloud gets a `RequestFailedError` with this code and text. */
  fail(code: RequestErrorCode = 'failed', text = ''): void {
    this.isAnswered = true;
    this.request.error(code, text);
  }
}

/** A request of a contract: `event` tells the type of `payload`. */
export type FakeRequestOf<C extends Contract> = {
  [Event in EventName<EventsOf<C, 'down'>>]: FakeRequest<
    Event,
    PayloadReceived<EventsOf<C, 'down'>, Event, Term>
  >;
}[EventName<EventsOf<C, 'down'>>];
