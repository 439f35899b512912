import { eventOf, type Term } from '../wire/internal.js';
import { type HandlerKind } from './decorators.js';
import { InvalidHandlerError } from './errors.js';
import { type HandlerCall } from './handler-call.js';

/** A decorated method, ready to be called. */
export interface Handler {
  /** `Class.method`, for messages to the developer. */
  readonly name: string;
  readonly kind: HandlerKind;
  /** Calls the method, and returns its result. */
  readonly call: HandlerCall;
}

/** The handler for a message, and its payload. */
export interface Route {
  readonly handler: Handler;
  readonly payload: unknown;
}

/** Picks the handler for a message: exact names, then guards in the order of declaration, then the catch-all. */
export class Router {
  readonly connected: readonly Handler[];
  readonly disconnected: readonly Handler[];
  readonly errors: readonly Handler[];
  private readonly events = new Map<string, Handler>();
  private readonly guards: { guard: (message: Term) => boolean; handler: Handler }[] = [];
  private readonly any: Handler | undefined;
  private readonly rawHandler: Handler | undefined;

  /** @throws {InvalidHandlerError} when two handlers claim the same messages. */
  constructor(handlers: readonly Handler[]) {
    const others: Record<Exclude<HandlerKind['kind'], 'event' | 'guard'>, Handler[]> = {
      connected: [],
      disconnected: [],
      error: [],
      raw: [],
      any: [],
    };
    for (const handler of handlers) {
      const { kind } = handler;
      if (kind.kind === 'event') {
        single([this.events.get(kind.event), handler], `@OnMessage('${kind.event}')`);
        this.events.set(kind.event, handler);
      } else if (kind.kind === 'guard') this.guards.push({ guard: kind.guard, handler });
      else others[kind.kind].push(handler);
    }
    this.connected = others.connected;
    this.disconnected = others.disconnected;
    this.errors = others.error;
    this.any = single(others.any, '@OnMessage()');
    this.rawHandler = single(others.raw, '@OnRawMessage()');
  }

  /** The handler for a message and its payload, or undefined if no handler matches. */
  message(message: Term): Route | undefined {
    if (this.events.size > 0) {
      const event = eventOf(message);
      const handler = event && this.events.get(event.name);
      if (handler) return { handler, payload: event.payload };
    }
    for (const { guard, handler } of this.guards) {
      if (guard(message)) return { handler, payload: message };
    }
    return this.any && { handler: this.any, payload: message };
  }

  /** Why no handler matches a message, and what the developer can do. Contains only the name of an event. */
  whyUnhandled(message: Term | Uint8Array): string {
    if (message instanceof Uint8Array) return 'no handler for a raw message: add @OnRawMessage()';
    const event = eventOf(message);
    const what = event ? `event ${shown(event.name)}` : 'a message that is not an event';
    const has = this.events.size > 0 || this.guards.length > 0;
    const where = "check that its class is in 'providers' or 'controllers' of a module";
    if (!has)
      return `no handler for ${what}, and there are no @OnMessage() handlers here: add one, or ${where}`;
    if (!event) return `no handler for ${what}: add a catch-all @OnMessage()`;
    return `no handler for ${what}: if you have @OnMessage(${shown(event.name)}), ${where}${this.shownEvents()}`;
  }

  private shownEvents(): string {
    const names = [...this.events.keys()].slice(0, MAX_NAMES).map(shown).join(', ');
    const more = this.events.size > MAX_NAMES ? ' and others' : '';
    return names === '' ? '' : ` (have: ${names}${more})`;
  }

  /** The handler of a raw message, or undefined if there is none. */
  raw(bytes: Uint8Array): Route | undefined {
    return this.rawHandler && { handler: this.rawHandler, payload: bytes };
  }
}

const MAX_NAME_CHARS = 64;
const MAX_NAMES = 10;

/** Quotes and truncates an event name, which comes from the peer. */
function shown(name: string): string {
  return JSON.stringify(name.length > MAX_NAME_CHARS ? `${name.slice(0, MAX_NAME_CHARS)}...` : name);
}

function single(handlers: readonly (Handler | undefined)[], what: string): Handler | undefined {
  const [first, second] = handlers.filter((handler) => handler !== undefined);
  if (first && first.name === second?.name) {
    throw new InvalidHandlerError(
      `${first.name} has ${what} twice. If two modules provide its class, there are two instances: ` +
        'provide it in one module, and export it from there.',
    );
  }
  if (first && second) {
    throw new InvalidHandlerError(
      `Both ${first.name} and ${second.name} have ${what}, but only one handler runs per message: ` +
        'remove one, or use different events, guards or endpoints (@DeviceEndpoint).',
    );
  }
  return first;
}
