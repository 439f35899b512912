import { type DeliveryTurn, DeliverySink } from '../receiving/index.js';
import { type DeliveryInfo, HandlerRunner, type RequestFailure } from '../results/index.js';
import { eventOf, type Term } from '../wire/internal.js';
import { nameOf } from '../faults/index.js';
import { type ClientEvent } from './client-event.js';

/** What a handler of a delivery is given beside the payload. */
export interface DeliveryContext {
  /** `epoch/lane/seq`: the same whenever the cloud delivers the message again, and no other message has it. */
  readonly id: string;
  /** 0 to 7. Within a lane deliveries are handled one after another; lanes do not wait for each other. */
  readonly lane: number;
  /** How often the cloud has sent it, this time included: above 1, a handler may have begun with it before. */
  readonly attempt: number;
  /** How long ago the cloud put it in, in milliseconds. Undefined where the cloud does not know that. */
  readonly ageMs: number | undefined;
  /** When the cloud put it in, by the clock of this machine. Undefined where the cloud does not know that. */
  readonly sentAt: Date | undefined;
  /** Aborts when the client stops. The end of a connection does not abort it. */
  readonly signal: AbortSignal;
}

/** Handles the deliveries of one event. */
export type DeliveryHandler = (payload: Term, context: DeliveryContext) => unknown;

/** A delivery of the cloud whose handler is about to run. */
export interface IncomingDelivery {
  readonly turn: DeliveryTurn;
  readonly message: Term;
  /** Keeps what the handler has returned for the cloud. */
  readonly onResult: (value: Term) => void;
}

/** The functions that handle deliveries of the cloud, by event. */
export class DeliveryHandlers {
  private readonly handlers = new Map<string, DeliveryHandler>();

  constructor(private readonly report: (event: ClientEvent) => void) {}

  /** How many there are. */
  get size(): number {
    return this.handlers.size;
  }

  /**
   * @returns a function that takes it out.
   * @throws {TypeError} when there is one for the event.
   */
  add(event: string, handler: DeliveryHandler): () => void {
    if (this.handlers.has(event)) {
      throw new TypeError(
        `client.onDelivery('${event}', handler): this event has a handler already, and a delivery has one. ` +
          'Take out the other one first: onDelivery() returns a function that does.',
      );
    }
    this.handlers.set(event, handler);
    return () => {
      if (this.handlers.get(event) === handler) this.handlers.delete(event);
    };
  }

  /** The call that handles a delivery. Its signal is made when the handler asks for it. */
  find(
    message: Term,
  ): { call(info: DeliveryInfo, source: { readonly signal: AbortSignal }): unknown } | undefined {
    const event = eventOf(message);
    const handler = event && this.handlers.get(event.name);
    return handler && { call: (info, source) => handler(event.payload, contextOf(info, source)) };
  }

  /** Handles a delivery. */
  handle({ turn, message, onResult }: IncomingDelivery): void {
    const found = this.find(message);
    if (!found) return turn.finish({ result: 'no_handler', text: 'no handler takes this event' });
    const { info } = turn;
    const connection = {
      stop: () => undefined,
      onFailure: (error: unknown) =>
        this.report({ type: 'delivery_failed', id: idOf(info), reason: nameOf(error), error }),
    };
    const runner = new HandlerRunner(
      new DeliverySink(turn, connection, () => INTERNAL_ERROR, onResult),
      info,
    );
    turn.onEnd = () => runner.end();
    void runner.run(() => found.call(info, runner));
  }
}

const INTERNAL_ERROR: RequestFailure = { code: 'failed', text: 'internal error' };

/** Names a delivery of the cloud, on both sides. */
export function idOf({ epoch, lane, seq }: Pick<DeliveryInfo, 'epoch' | 'lane' | 'seq'>): string {
  return `${epoch}/${lane}/${seq}`;
}

function contextOf(info: DeliveryInfo, source: { readonly signal: AbortSignal }): DeliveryContext {
  const { lane, attempt, ageMs, sentAt } = info;
  return {
    id: idOf(info),
    lane,
    attempt,
    ageMs,
    sentAt,
    get signal() {
      return source.signal;
    },
  };
}
