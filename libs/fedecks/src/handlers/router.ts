import { eventOf, type Term } from '../wire/index.js';
import { type HandlerKind } from './decorators.js';
import { InvalidHandlerError } from './errors.js';
import { type DeviceContext, type HandlerCall, type SignalSource } from './handler-call.js';

/** A decorated method, ready to be called. */
export interface Handler {
  /** `Class.method`, for messages to the developer. */
  readonly name: string;
  readonly kind: HandlerKind;
  /** Calls the method, and returns what it returned. */
  readonly call: HandlerCall;
}

/** What {@link Router.message} returns when no handler takes a message. */
export const UNHANDLED = Symbol('unhandled');

/** Picks the handler for a message: exact names, then guards in the order of declaration, then the catch-all. */
export class Router {
  readonly connected: readonly Handler[];
  readonly disconnected: readonly Handler[];
  readonly errors: readonly Handler[];
  private readonly events = new Map<string, Handler>();
  private readonly guards: { guard: (message: Term) => boolean; handler: Handler }[] = [];
  private readonly any: Handler | undefined;
  private readonly rawHandler: Handler | undefined;
  /** The handler that was called last: if it has returned a promise, that is the one to wait for. */
  called: Handler | undefined;

  /** @throws {InvalidHandlerError} when two handlers claim the same messages. */
  constructor(handlers: readonly Handler[]) {
    const only = (kind: HandlerKind['kind']): Handler[] => handlers.filter((h) => h.kind.kind === kind);
    this.connected = only('connected');
    this.disconnected = only('disconnected');
    this.errors = only('error');
    this.any = single(only('any'), '@OnMessage()');
    this.rawHandler = single(only('raw'), '@OnRawMessage()');
    for (const handler of handlers) {
      const { kind } = handler;
      if (kind.kind === 'guard') this.guards.push({ guard: kind.guard, handler });
      if (kind.kind !== 'event') continue;
      single([this.events.get(kind.event), handler], `@OnMessage('${kind.event}')`);
      this.events.set(kind.event, handler);
    }
  }

  /** Runs the handler of a message and returns its result, or {@link UNHANDLED}. Throws what the handler throws. */
  message(message: Term, device: DeviceContext, connection?: SignalSource): unknown {
    if (this.events.size > 0) {
      const event = eventOf(message);
      const handler = event && this.events.get(event.name);
      if (handler) return this.call(handler, event.payload, device, connection);
    }
    for (const { guard, handler } of this.guards) {
      if (guard(message)) return this.call(handler, message, device, connection);
    }
    return this.any ? this.call(this.any, message, device, connection) : UNHANDLED;
  }

  /** Runs the handler of a raw message and returns its result, or {@link UNHANDLED}. */
  raw(bytes: Uint8Array, device: DeviceContext, connection?: SignalSource): unknown {
    return this.rawHandler ? this.call(this.rawHandler, bytes, device, connection) : UNHANDLED;
  }

  /** Runs a handler and returns its result. Throws what the handler throws. */
  call(handler: Handler, payload: unknown, device: DeviceContext, connection?: SignalSource): unknown {
    this.called = handler;
    return handler.call(payload, device, connection);
  }
}

function single(handlers: readonly (Handler | undefined)[], what: string): Handler | undefined {
  const [first, second] = handlers.filter((handler) => handler !== undefined);
  if (first && first.name === second?.name) {
    throw new InvalidHandlerError(
      `${what} stands twice on ${first.name}. If its class is provided by two modules, there are two instances: ` +
        'provide it in one, and export it from there.',
    );
  }
  if (first && second) {
    throw new InvalidHandlerError(
      `${what} stands on both ${first.name} and ${second.name}. One handler runs for a message: ` +
        'remove one, or give them different events, guards or endpoints (@DeviceEndpoint).',
    );
  }
  return first;
}
