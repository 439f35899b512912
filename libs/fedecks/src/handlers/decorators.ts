import { type PipeTransform, type Type } from '@nestjs/common';
import { ENTRY_PROVIDER_WATERMARK, ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import {
  type Contract,
  type EventName,
  type EventsOf,
  type PayloadReceived,
  type Term,
} from '../wire/internal.js';
import { InvalidHandlerError } from './errors.js';
import {
  type AnyAnswer,
  type Beside,
  type BesideFailure,
  type HandlerDecorator,
  type PayloadOrProperty,
} from './method-check.js';

/** A type guard for the messages of a handler. Called for every message without an exact route. */
export type MessageGuard<T extends Term = Term> = (message: Term) => message is T;

/** What a method handles, from its decorators. */
export type HandlerKind =
  | { readonly kind: 'connected' | 'disconnected' | 'error' | 'raw' | 'any' }
  | { readonly kind: 'event'; readonly event: string }
  | { readonly kind: 'guard'; readonly guard: MessageGuard };

const HANDLERS_METADATA = Symbol('fedecks:handlers');
const ENDPOINTS_METADATA = Symbol('fedecks:endpoints');
const FROM_CLOUD_METADATA = Symbol('fedecks:from-cloud');

/** The sender of messages to handlers: the devices of this app, or the cloud whose device this app is. */
export type Peer = 'devices' | 'cloud';

function handles(decorator: string, kind: HandlerKind): MethodDecorator {
  return (target, key, descriptor: PropertyDescriptor | undefined) => {
    const owner = typeof target === 'function' ? target : target.constructor;
    const method: unknown = descriptor?.value;
    if (typeof method !== 'function' || typeof target === 'function') {
      throw new InvalidHandlerError(
        `${decorator} on ${owner.name}.${String(key)}: the decorator needs an instance method of a provider or controller. ` +
          `Make ${String(key)} a method, neither static nor a property that holds a function.`,
      );
    }
    const others = (Reflect.getMetadata(HANDLERS_METADATA, method) as HandlerKind[] | undefined) ?? [];
    Reflect.defineMetadata(HANDLERS_METADATA, [...others, kind], method);
    // Marks an entry point of messages: Nest then instantiates the scoped global enhancers for this class.
    Reflect.defineMetadata(ENTRY_PROVIDER_WATERMARK, true, owner);
  };
}

/** What the decorators of a method say, or undefined if it has none. */
export function handlerKindsOf(method: object): readonly HandlerKind[] | undefined {
  return Reflect.getMetadata(HANDLERS_METADATA, method) as HandlerKind[] | undefined;
}

const DECORATORS = {
  connected: '@OnConnected()',
  disconnected: '@OnDisconnected()',
  error: '@OnSocketError()',
  raw: '@OnRawMessage()',
  any: '@OnMessage()',
  guard: '@OnMessage(guard)',
} as const satisfies Partial<Record<HandlerKind['kind'], string>>;

/** The result of `switchToWs().getPattern()`: the event name of the handler, or its decorator. */
export function patternOf(kind: HandlerKind): string {
  return kind.kind === 'event' ? kind.event : DECORATORS[kind.kind];
}

/** The paths in the {@link DeviceEndpoint} of a class. */
export function endpointsOf(type: object): readonly string[] {
  return (Reflect.getMetadata(ENDPOINTS_METADATA, type) as string[] | undefined) ?? [];
}

/** The peers that a class serves, from {@link DeviceEndpoint} and {@link FromCloud}. */
export function chosenPeers(type: object): readonly Peer[] {
  const peers: Peer[] = [];
  if (Reflect.hasMetadata(ENDPOINTS_METADATA, type)) peers.push('devices');
  if (Reflect.hasMetadata(FROM_CLOUD_METADATA, type)) peers.push('cloud');
  return peers;
}

/**
 * Handles messages from the other side (PROTOCOL.md §2).
 *
 * - `@OnMessage('temperature')` handles the event of that name, and receives its payload. An event is a pair
 *   (tuple or list of two) whose first element is a string or an atom, or a map with a string `event` and
 *   optional `data`.
 * - `@OnMessage(isBatch)` handles every message that the type guard accepts, and receives the whole message.
 * - `@OnMessage()` handles everything else.
 *
 * One handler runs: an exact name first, then guards in the order of declaration, then the catch-all. Its result is sent:
 * a value is the reply, an Observable, async iterable or generator sends each of its values, `undefined` sends nothing,
 * {@link stop} closes the connection, and a promise of any of these works.
 *
 * The compiler rejects a method whose result cannot be sent. With a type guard, each parameter must accept the guarded
 * type, the device, its id, the signal or the delivery. `Also` adds types that your own pipes or parameter decorators
 * produce.
 * @throws {InvalidHandlerError} at boot, when the decorator is not on an instance method.
 */
export function OnMessage<T extends Term, Also = never>(
  guard: MessageGuard<T>,
): HandlerDecorator<PayloadOrProperty<T> | Beside<Also>, AnyAnswer>;
export function OnMessage(event?: string | MessageGuard): HandlerDecorator<unknown, AnyAnswer>;
export function OnMessage(event?: string | MessageGuard): MethodDecorator {
  if (event === undefined) return handles('@OnMessage()', { kind: 'any' });
  if (typeof event === 'string') return handles(`@OnMessage('${event}')`, { kind: 'event', event });
  if (typeof event === 'function') return handles('@OnMessage(guard)', { kind: 'guard', guard: event });
  throw new InvalidHandlerError('@OnMessage takes an event name, a type guard, or no argument.');
}

/**
 * `@OnMessage` for the events that one side receives. The compiler rejects another name, a method that does not accept the
 * payload, and a result that is not a message of the other direction.
 */
export type OnMessageOf<C extends Contract, Receives extends 'up' | 'down', Answers extends 'up' | 'down'> = <
  Event extends EventName<EventsOf<C, Receives>>,
>(
  event: Event,
) => HandlerDecorator<
  PayloadOrProperty<PayloadReceived<EventsOf<C, Receives>, Event, unknown>> | Beside<never>,
  EventsOf<C, Answers>
>;

/**
 * Handles binary frames that are not a safe term. The payload is the bytes, as a `Uint8Array` (PROTOCOL.md §2). `Also`
 * works as in {@link OnMessage}.
 */
export function OnRawMessage<Also = never>(): HandlerDecorator<[Uint8Array] | Beside<Also>, AnyAnswer> {
  return handles('@OnRawMessage()', { kind: 'raw' });
}

/**
 * Runs when a connection has opened, before its first message. Result and `Also` work as in {@link OnMessage}.
 */
export function OnConnected<Also = never>(): HandlerDecorator<[null] | Beside<Also>, AnyAnswer> {
  return handles('@OnConnected()', { kind: 'connected' });
}

/** Runs once after each connection. Cloud and device each define the type of `Cause`. */
export function OnDisconnected<Cause, Also = never>(): HandlerDecorator<
  PayloadOrProperty<Cause> | Beside<Also>,
  unknown
> {
  return handles('@OnDisconnected()', { kind: 'disconnected' });
}

/** Runs for each failure. The server defines the type of `Failure`. */
export function OnSocketError<Failure, Also = never>(): HandlerDecorator<
  PayloadOrProperty<Failure> | BesideFailure<Also>,
  unknown
> {
  return handles('@OnSocketError()', { kind: 'error' });
}

/**
 * The handlers of this class serve devices: those of the endpoints with these paths, as given to
 * `FedecksModule.forRoot`. Without a path, those of the only endpoint, or of the one at the default path.
 *
 * Needed only in an app with several endpoints, and in one that also imports `FedecksClientModule`.
 */
export function DeviceEndpoint(...paths: string[]): ClassDecorator {
  return (target) => Reflect.defineMetadata(ENDPOINTS_METADATA, paths, target);
}

/**
 * The handlers of this class serve the cloud: they handle its messages to this app, which is its device.
 *
 * Needed only in an app that also imports `FedecksModule`, and so has its own devices. A class that serves both also has
 * `@DeviceEndpoint()`.
 */
export function FromCloud(): ClassDecorator {
  return (target) => Reflect.defineMetadata(FROM_CLOUD_METADATA, true, target);
}

/** Parameter types. The payload has the number of Nest's "body", so that a ValidationPipe validates it. */
export const PARAM = { payload: 3, deviceId: 101, device: 102, signal: 103, delivery: 104 } as const;

export interface ParamMetadata {
  readonly index: number;
  readonly data?: string | undefined;
  readonly pipes: readonly (Type<PipeTransform> | PipeTransform)[];
}

function param(type: number, data: string | undefined, pipes: ParamMetadata['pipes']): ParameterDecorator {
  return (target, key, index) => {
    if (key === undefined) {
      throw new InvalidHandlerError(
        `The constructor of ${(target as { name: string }).name} has a parameter decorator of fedecks: ` +
          'move it to a parameter of a handler method.',
      );
    }
    // The same key and shape as for Nest's controllers, so that Nest's pipes and createParamDecorator work with ours.
    const known = (Reflect.getMetadata(ROUTE_ARGS_METADATA, target.constructor, key) ?? {}) as object;
    const added: ParamMetadata = { index, data, pipes };
    Reflect.defineMetadata(
      ROUTE_ARGS_METADATA,
      { ...known, [`${type}:${index}`]: added },
      target.constructor,
      key,
    );
  };
}

/**
 * The payload: the data of an event, the message for a guard or catch-all, the bytes of a raw message. With a name, that
 * property of it. Pipes apply.
 */
export function Payload(...pipes: ParamMetadata['pipes']): ParameterDecorator;
export function Payload(property: string, ...pipes: ParamMetadata['pipes']): ParameterDecorator;
export function Payload(...given: readonly (string | ParamMetadata['pipes'][number])[]): ParameterDecorator {
  const [first, ...rest] = given;
  return typeof first === 'string'
    ? param(PARAM.payload, first, rest as ParamMetadata['pipes'])
    : param(PARAM.payload, undefined, given as ParamMetadata['pipes']);
}

/** The id of the device that sent the message; `null` in `@OnSocketError` if unknown. */
export function DeviceId(): ParameterDecorator {
  return param(PARAM.deviceId, undefined, []);
}

/** The device that sent the message, with claims, remote address and time of connection: a `ConnectedDevice`. */
export function Device(): ParameterDecorator {
  return param(PARAM.device, undefined, []);
}

/**
 * An `AbortSignal` that aborts when the connection ends, for any cause, including the drain deadline of the app. Pass it
 * to what the handler awaits (`fetch`, `events.on`, timers), so that nothing waits for a disconnected device. An
 * `AbortError` of a handler whose connection has ended is not reported. In `@OnDisconnected` the signal is already
 * aborted; in `@OnSocketError`, which belongs to no connection, it never aborts. For a request it aborts also when that is
 * answered, cancelled or out of time. The handler of a delivery goes on when the connection ends: its signal aborts when
 * it has finished, when another node has the device, and when the app ends.
 */
export function AbortSignal(): ParameterDecorator {
  return param(PARAM.signal, undefined, []);
}

/**
 * The place of the message among the deliveries of the device: a `DeliveryInfo`. Undefined for what the device has sent
 * without `deliver`, and in handlers that are not for messages.
 */
export function Delivery(): ParameterDecorator {
  return param(PARAM.delivery, undefined, []);
}
