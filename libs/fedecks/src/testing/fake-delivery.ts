import {
  type Contract,
  type EventName,
  type EventsOf,
  type NackCode,
  type PayloadReceived,
  type Term,
} from '../wire/internal.js';

/** What a test answers to a delivery. */
export type FakeAnswer =
  | { readonly result: 'handled'; readonly value: Term | undefined }
  | { readonly result: NackCode; readonly text: string };

/**
 * A delivery of the cloud at a fake device. The test answers it: nothing else does. Until then those behind it in its lane
 * wait.
 */
export class FakeDelivery<Event extends string = string, Payload = Term> {
  private isAnswered = false;

  /** @internal */
  constructor(
    /** The name of the event. */
    readonly event: Event,
    /** The payload of the event. */
    readonly payload: Payload,
    /** How often the cloud has sent it, this time included. */
    readonly attempt: number,
    /** How long ago the app put it in, in milliseconds. Undefined where the cloud does not know that. */
    readonly ageMs: number | undefined,
    private readonly answer: (answer: FakeAnswer) => void,
  ) {}

  /**
   * Answers that its handler has finished: it becomes `done`. Only the first answer is sent.
   * @param result what the handler returned: nothing by default. As on a device, more than 16,384 bytes are not sent.
   * @throws {TermEncodeError} when the result holds something that is no term.
   */
  handled(result?: Term): void {
    this.answerOnce({ result: 'handled', value: result });
  }

  /**
   * Answers that it was not handled. With `invalid` and `no_handler` it becomes `rejected`. After `failed` the cloud sends it
   * again, after 1, 4, 16 and 60 s: `nextDelivery()` returns it anew, with a greater `attempt`.
   */
  fail(code: NackCode = 'failed', text = ''): void {
    this.answerOnce({ result: code, text });
  }

  private answerOnce(answer: FakeAnswer): void {
    if (this.isAnswered) return;
    this.answer(answer);
    this.isAnswered = true;
  }
}

/** A delivery of a contract: `event` tells the type of `payload`. */
export type FakeDeliveryOf<C extends Contract> = {
  [Event in EventName<EventsOf<C, 'down'>>]: FakeDelivery<
    Event,
    PayloadReceived<EventsOf<C, 'down'>, Event, Term>
  >;
}[EventName<EventsOf<C, 'down'>>];
