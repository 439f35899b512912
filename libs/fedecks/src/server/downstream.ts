import { Observable, Subject, type Subscription } from 'rxjs';
import { GuardedObservable, type OnFailure } from '../faults/index.js';
import { type Contract, type EventsOf, type MessageToSend, type Term } from '../wire/internal.js';

/** A message for a device: a term, or another value that can be sent. */
export interface DownstreamMessage<Message = Term> {
  /** The device id. */
  readonly deviceId: string;
  /** The message. */
  readonly message: Message;
  /** The `path` of one endpoint, in an app with several. Default: all. */
  readonly endpoint?: string;
}

/**
 * Pushes every message it receives. Several sources may be piped into it: it stays open when one of them completes, and
 * reports one that fails.
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

  /** Pushes a message. Logs and reports a failure instead of throwing. */
  override next<Message>(message: DownstreamMessage<MessageToSend<EventsOf<C, 'down'>, Message>>): void {
    super.next(message);
  }

  /** Does nothing, so that other sources continue. */
  override complete(): void {
    // Nothing to do.
  }

  /** Reports the failure of a source. Other sources continue. */
  override error(error: unknown): void {
    this.onFailure(error);
  }

  /** Observes the messages, as with any Observable. */
  override pipe(...operators: unknown[]): Observable<never> {
    return this.observed$.pipe(...operators);
  }

  /** Observes the messages. Errors of observers are reported. */
  override subscribe(
    ...observer: Parameters<GuardedObservable<DownstreamMessage<unknown>>['subscribe']>
  ): Subscription {
    return this.observed$.subscribe(...observer);
  }
}
