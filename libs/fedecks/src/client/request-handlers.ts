import { type Conversation, type ReceivedRequest } from '../requests/index.js';
import { HandlerRunner, type RequestFailure, RequestSink, type ResultSink } from '../results/index.js';
import { eventOf, type Term } from '../wire/internal.js';

/** What a handler of a request is given beside the payload. */
export interface RequestContext {
  /** Aborts when the cloud cancels the request, its time is up, or the connection ends. */
  readonly signal: AbortSignal;
}

/**
 * Answers the requests for one event: with what it returns, a promise of it, or the values of an Observable, async
 * iterable or generator. Nothing is answered as `null`.
 */
export type RequestHandler = (payload: Term, context: RequestContext) => unknown;

/** A request of the cloud that waits for its turn. */
export interface IncomingRequest {
  /** What it asks for, when its turn has come. Undefined when nobody waits for it any more. */
  begin(): BegunRequest | undefined;
  /** Refuses it: too many wait. */
  refuse(): void;
}

/** A request whose turn has come. */
export interface BegunRequest {
  readonly request: ReceivedRequest;
  readonly message: Term;
  /** Resolves when what was answered has been written. */
  readonly drained: () => Promise<void>;
}

/** The functions that answer requests of the cloud, by event. */
export class RequestHandlers {
  private readonly handlers = new Map<string, RequestHandler>();

  /** @param onFailure called with what a handler throws. Must not throw. */
  constructor(private readonly onFailure: (error: unknown) => void) {}

  /**
   * @returns a function that takes it out.
   * @throws {TypeError} when there is one for the event.
   */
  add(event: string, handler: RequestHandler): () => void {
    if (this.handlers.has(event)) {
      throw new TypeError(
        `client.onRequest('${event}', handler): this event has a handler already, and a request has one answer. ` +
          'Take out the other one first: onRequest() returns a function that does.',
      );
    }
    this.handlers.set(event, handler);
    return () => {
      if (this.handlers.get(event) === handler) this.handlers.delete(event);
    };
  }

  /** The call that answers a request. Its signal is made when the handler asks for it. */
  find(message: Term): { call(source: RequestContext): unknown } | undefined {
    const event = eventOf(message);
    const handler = event && this.handlers.get(event.name);
    return handler && { call: (source) => handler(event.payload, contextOf(source)) };
  }

  /** Answers a request at once. */
  answer(incoming: IncomingRequest): void {
    const begun = incoming.begin();
    if (!begun) return;
    const { request, message, drained } = begun;
    const found = this.find(message);
    if (!found) return request.error('no_handler', 'no handler takes this event');
    const connection: ResultSink = {
      send: () => undefined,
      stop: () => undefined,
      drained,
      onFailure: this.onFailure,
    };
    const runner = new HandlerRunner(new RequestSink(request, connection, () => INTERNAL_ERROR));
    request.onEnd = () => runner.end();
    void runner.run(() => found.call(runner));
    request.watch(performance.now());
  }
}

function contextOf(source: RequestContext): RequestContext {
  return {
    get signal() {
      return source.signal;
    },
  };
}

const INTERNAL_ERROR: RequestFailure = { code: 'failed', text: 'internal error' };

/** A request in a frame, for its turn. */
export function incomingRequest(
  bytes: Buffer,
  conversation: Conversation,
  drained: () => Promise<void>,
): IncomingRequest {
  return {
    begin: () => {
      const begun = conversation.begin(bytes, performance.now());
      return begun && { ...begun, drained };
    },
    refuse: () => conversation.refuse(bytes),
  };
}
