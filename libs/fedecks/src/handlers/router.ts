import { eventOf, type Term } from '../wire/internal.js';
import { type HandlerKind } from './decorators.js';
import { InvalidHandlerError } from './errors.js';
import { type HandlerCall } from './handler-call.js';

/** A decorated method, ready to be called. */
export interface Handler {
  /** `Class.method`, for messages to the developer. */
  readonly name: string;
  readonly kind: HandlerKind;
  /** Calls the method, and returns what it returned. */
  readonly call: HandlerCall;
}

/** Which handler takes a message, and what it receives. */
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

  /** The handler of a message and what it receives, or undefined if no handler takes it. */
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

  /** Why no handler takes a message, and what the developer may do. Of an event only its name is told. */
  whyUnhandled(message: Term | Uint8Array): string {
    if (message instanceof Uint8Array) return 'no handler takes a raw message: add @OnRawMessage()';
    const event = eventOf(message);
    const what = event ? `event ${shown(event.name)}` : 'a message that is no event';
    const has = this.events.size > 0 || this.guards.length > 0;
    const where = "is the class in 'providers' or 'controllers' of a module?";
    if (!has) return `no handler takes ${what}, and there is no @OnMessage() here at all: ${where}`;
    if (!event) return `no handler takes ${what}: add a catch-all @OnMessage()`;
    return `no handler takes ${what}: if one has @OnMessage(${shown(event.name)}), ${where}${this.shownEvents()}`;
  }

  private shownEvents(): string {
    const names = [...this.events.keys()].slice(0, MAX_NAMES).map(shown).join(', ');
    const more = this.events.size > MAX_NAMES ? ' and others' : '';
    return names === '' ? '' : ` There are handlers for ${names}${more}`;
  }

  /** The handler of a raw message, or undefined if there is none. */
  raw(bytes: Uint8Array): Route | undefined {
    return this.rawHandler && { handler: this.rawHandler, payload: bytes };
  }
}

const MAX_NAME_CHARS = 64;
const MAX_NAMES = 10;

/** The name of an event, which is the peer's. */
function shown(name: string): string {
  return JSON.stringify(name.length > MAX_NAME_CHARS ? `${name.slice(0, MAX_NAME_CHARS)}...` : name);
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
