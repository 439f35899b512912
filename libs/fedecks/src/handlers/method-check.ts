import { type Observable } from 'rxjs';
import { type EventsOf, type Contract, type MessageToSend } from '../wire/internal.js';
import { type Stop } from './result.js';

/**
 * A decorator of a handler, which has the compiler look at the method it stands on: that each parameter takes one of
 * what is there to take (`Takes`, each in a tuple of one), and that the result can be sent, where it is (`Answers`).
 *
 * The compiler does not tell a method's decorator how its parameters are decorated. So which one is the payload is not
 * known, and a parameter passes that takes the id of the device, or the device, instead.
 */
export interface HandlerDecorator<Takes, Answers> {
  /** For `applyDecorators` of Nest, which hands on any method: the key of one that it stands on itself is no `string`. */
  <Key extends string | symbol>(
    target: object,
    key: string extends Key ? Key : never,
    descriptor: { readonly value?: unknown },
  ): void;
  /** For a method that it stands on. */
  <Method>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<Checked<Method, Takes, Answers>>,
  ): void;
}

/** The parameters a handler may have beside the payload: the id of the device, the device, the signal, and `Also`. */
export type Beside<Also> = [string] | [AnyDevice] | [AbortSignal] | Boxed<Also>;

/** What there is beside a failure, which need not be of a device that is known: its id, in `@Device()` too. */
export type BesideFailure<Also> =
  [string | null] | [{ readonly id: string | null }] | [AbortSignal] | Boxed<Also>;

/** A payload, or a property of it, as `@Payload('name')` takes it. */
export type PayloadOrProperty<P> =
  | [P]
  | (P extends readonly unknown[] ? never : P extends object ? { [K in keyof P]-?: [P[K]] }[keyof P] : never);

/** What may be answered: the messages of one direction. */
export type AnyAnswer = EventsOf<Contract, 'down'>;

/** Why the compiler refuses a method, for its message. There are no values of it. */
export interface CannotHandle<Because extends string, What> {
  /** A sentence about the method, and what of it is refused. */
  readonly [because]: [Because, What];
}

declare const because: unique symbol;

type Boxed<T> = [T] extends [never] ? never : [T];

/** A `ConnectedDevice` of the server, or what is known of the only device of a client. */
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
          'its result holds what cannot be sent, or is no message of the contract',
          Unsendable<Result, Answers>
        >
    : CannotHandle<
        'a parameter takes neither its payload nor the device, the id of the device, or the signal',
        Unfit<Args, Takes>
      >
  : Method;

/** Of the parameters, those that take nothing of what there is. */
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

/** What a method without a result returns. */
type Nothing = ReturnType<() => void>;

/** Of a result, what cannot be sent, with the reason at its place; or what can be, by the contract. */
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
