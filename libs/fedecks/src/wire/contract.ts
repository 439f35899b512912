import { type Sendable, type Sent, type TupleOf } from './term.js';

/**
 * What a device and its cloud have agreed on: by the name of each event, the type of its payload.
 *
 *     type Greenhouse = {
 *       up: { temperature: Reading };    // what devices send
 *       down: { fan: FanCommand };       // what the cloud sends
 *     };
 *
 * It is for the compiler alone: what arrives is what the other side has sent. A direction that is left out is not
 * checked.
 */
export interface Contract {
  /** What devices send. */
  readonly up?: object;
  /** What the cloud sends. */
  readonly down?: object;
}

/** Events of any name, with any payload. */
type AnyEvents = Readonly<Record<string, unknown>>;

/** The events of one direction of a contract: any where it is left out, and none where it is misspelt. */
export type EventsOf<C extends Contract, Direction extends 'up' | 'down'> = C extends {
  readonly [D in Direction]: object;
}
  ? C[Direction]
  : [Exclude<keyof C, keyof Contract>] extends [never]
    ? AnyEvents
    : { readonly 'a contract has up and down, and nothing else': never };

/** Whether events are {@link AnyEvents}. A contract may leave open which names there are, and say what they carry. */
type AreAny<Events> = string extends keyof Events
  ? unknown extends Events[keyof Events]
    ? true
    : false
  : false;

/** The names of events. */
export type EventName<Events> = keyof Events & string;

/**
 * What may be sent as the payload of an event: any `P` without a contract. Where there are several events, what fits
 * all.
 */
export type PayloadToSend<Events, Event extends EventName<Events>, P> =
  AreAny<Events> extends true
    ? Sendable<P>
    : { [Each in Event]: (payload: Sent<Events[Each]>) => void }[Event] extends (payload: infer All) => void
      ? All
      : never;

/** What may be sent as a message: any `M` without a contract. */
export type MessageToSend<Events, M> = AreAny<Events> extends true ? Sendable<M> : EventsToSend<Events>;

/** The messages of one direction of a contract: the type of what a handler returns, `MessageOf<Greenhouse, 'down'>`. */
export type MessageOf<C extends Contract, Direction extends 'up' | 'down'> = MessageToSend<
  EventsOf<C, Direction>,
  unknown
>;

type EventsToSend<Events> = [EventName<Events>] extends [never]
  ? never
  : MapToSend<Events> | PairToSend<Events> | TupleOf<PairToSend<Events>>;

type MapToSend<Events> = {
  [Event in EventName<Events>]: IsOptional<Events[Event]> extends true
    ? { readonly event: Event; readonly data?: Sent<Events[Event]> }
    : { readonly event: Event; readonly data: Sent<Events[Event]> };
}[EventName<Events>];

type PairToSend<Events> = {
  [Event in EventName<Events>]: readonly [Event, Sent<Events[Event]>];
}[EventName<Events>];

/** Whether a payload may be left out: then `null` arrives. */
type IsOptional<P> = null extends P ? true : undefined extends P ? true : false;

/** What arrives as the payload of an event: any term without a contract. In place of `undefined` it is `null`. */
export type PayloadReceived<Events, Event extends EventName<Events>, Any> =
  AreAny<Events> extends true
    ? Any
    : undefined extends Events[Event]
      ? Exclude<Events[Event], undefined> | null
      : Events[Event];
