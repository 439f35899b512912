import { type Observable } from 'rxjs';
import { type EventsOf, type Contract, type MessageToSend } from '../wire/internal.js';
import { type Stop } from '../results/index.js';

/**
 * A handler decorator that type-checks its method: each parameter must accept one of the available arguments (`Takes`, each
 * in a tuple of one), and the result must be sendable (`Answers`).
 *
 * A method decorator does not know the parameter decorators. So it cannot tell which parameter is the payload, and also
 * accepts a parameter for the device or its id in that place.
 */
export interface HandlerDecorator<Takes, Answers> {
  /** For Nest's `applyDecorators`, which passes any method with a key of type `string`. */
  <Key extends string | symbol>(
    target: object,
    key: string extends Key ? Key : never,
    descriptor: { readonly value?: unknown },
  ): void;
  /** For direct use on a method. */
  <Method>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<Checked<Method, Takes, Answers>>,
  ): void;
}

/** The parameters of a handler besides the payload: the device id, the device, the signal, and `Also`. */
export type Beside<Also> = [string] | [AnyDevice] | [AbortSignal] | Boxed<Also>;

/** The parameters besides a failure, whose device id may be unknown, also in `@Device()`. */
export type BesideFailure<Also> =
  [string | null] | [{ readonly id: string | null }] | [AbortSignal] | Boxed<Also>;

/** A payload, or a property of it, as with `@Payload('name')`. */
export type PayloadOrProperty<P> =
  | [P]
  | (P extends readonly unknown[] ? never : P extends object ? { [K in keyof P]-?: [P[K]] }[keyof P] : never);

/** The messages that a handler may return. */
export type AnyAnswer = EventsOf<Contract, 'down'>;

/** The reason in the compiler's error for an invalid method. Has no values. */
export interface CannotHandle<Because extends string, What> {
  /** A sentence about the method, and the invalid type. */
  readonly [because]: [Because, What];
}

declare const because: unique symbol;

type Boxed<T> = [T] extends [never] ? never : [T];

/** A `ConnectedDevice` of the server, or the device of a client. */
interface AnyDevice {
  readonly id: string;
  readonly remoteAddress: string;
  readonly endpoint: string;
  readonly since: number;
  // Claims and attempts are types of the server, which this folder does not know.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly claims: any;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly attempt?: any;
}

type Checked<Method, Takes, Answers> = Method extends (...args: infer Args) => infer Result
  ? [Unfit<Args, Takes>] extends [never]
    ? [Unsendable<Result, Answers>] extends [never]
      ? Method
      : CannotHandle<
          'its result contains a value that cannot be sent, or is not a message of the contract',
          Unsendable<Result, Answers>
        >
    : CannotHandle<
        'a parameter accepts neither the payload, nor the device, its id or the signal',
        Unfit<Args, Takes>
      >
  : Method;

/** The parameters that accept none of the available arguments. */
type Unfit<Args extends readonly unknown[], Takes> = {
  [Index in keyof Args]-?: UnfitParameter<Args[Index], Takes>;
}[number];

type UnfitParameter<Parameter, Takes> = unknown extends Takes
  ? never
  : unknown extends Parameter
    ? never
    : true extends (Takes extends [infer Value] ? ([Value] extends [Parameter] ? true : false) : never)
      ? never
      : { parameter: Parameter };

/** The result of a method without a return value. */
type Nothing = ReturnType<() => void>;

/** The part of a result that cannot be sent, with the reason in its place; or what the contract allows. */
type Unsendable<Result, Answers> = unknown extends Result | Answers
  ? never
  : Result extends Nothing | Stop
    ? never
    : Result extends PromiseLike<infer Value>
      ? Unsendable<Value, Answers>
      : Result extends Observable<infer Value>
        ? Unsendable<Value, Answers>
        : Result extends AsyncIterable<infer Value>
          ? Unsendable<Value, Answers>
          : Result extends IterableIterator<infer Value>
            ? Unsendable<Value, Answers>
            : [Result] extends [MessageToSend<Answers, Result>]
              ? never
              : { mayBe: MessageToSend<Answers, Result> };
