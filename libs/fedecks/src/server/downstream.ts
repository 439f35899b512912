import { Observable, Subject, type Subscription } from 'rxjs';
import { GuardedObservable, type OnFailure } from '../faults/index.js';
import { type Contract, type EventsOf, type MessageToSend, type Term } from '../wire/internal.js';

/** A message for a device: a term, or anything else that may be sent. */
export interface DownstreamMessage<Message = Term> {
  /** The device id. */
  readonly deviceId: string;
  /** The message. */
  readonly message: Message;
  /** The `path` of one endpoint, in an app with several: without it, all of them are meant. */
  readonly endpoint?: string;
}

/**
 * Where messages for devices are put. Many sources may be piped into it, so none of them closes it: one that completes
 * puts in no more, and one that fails is reported.
 */
export class Downstream<C extends Contract = Contract> extends Subject<DownstreamMessage<unknown>> {
  private readonly observed$: GuardedObservable<DownstreamMessage<unknown>>;

  constructor(private readonly onFailure: OnFailure) {
    super();
    this.observed$ = new GuardedObservable(
      new Observable((subscriber) => super.subscribe(subscriber)),
      onFailure,
    );
  }

  /** Puts in a message. What cannot be pushed is logged and reported: this throws nothing. */
  override next<Message>(message: DownstreamMessage<MessageToSend<EventsOf<C, 'down'>, Message>>): void {
    super.next(message);
  }

  /** Does nothing: other sources go on. */
  override complete(): void {
    // Nothing to do.
  }

  /** Reports the failure of a source: other sources go on. */
  override error(error: unknown): void {
    this.onFailure(error);
  }

  /** As of any Observable, to observe the messages. */
  override pipe(...operators: unknown[]): Observable<never> {
    return this.observed$.pipe(...operators);
  }

  /** For those who look on. What an observer throws is reported. */
  override subscribe(
    ...observer: Parameters<GuardedObservable<DownstreamMessage<unknown>>['subscribe']>
  ): Subscription {
    return this.observed$.subscribe(...observer);
  }
}
