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

/** The events of one direction of a contract. */
export type EventsOf<C extends Contract, Direction extends 'up' | 'down'> = C extends {
  readonly [D in Direction]: infer Events extends object;
}
  ? Events
  : AnyEvents;

/** The names of events. */
export type EventName<Events> = keyof Events & string;

/** What may be sent as the payload of an event: any `P` without a contract. */
export type PayloadToSend<Events, Event extends EventName<Events>, P> = string extends keyof Events
  ? Sendable<P>
  : Sent<Events[Event]>;

/** What may be sent as a message: any `M` without a contract. */
export type MessageToSend<Events, M> = string extends keyof Events ? Sendable<M> : EventsToSend<Events>;

/** The messages of one direction of a contract: the type of what a handler returns, `MessageOf<Greenhouse, 'down'>`. */
export type MessageOf<C extends Contract, Direction extends 'up' | 'down'> = MessageToSend<
  EventsOf<C, Direction>,
  unknown
>;

type EventsToSend<Events> = {
  [Event in EventName<Events>]: EventToSend<Event, Sent<Events[Event]>>;
}[EventName<Events>];

type EventToSend<Event extends string, P> =
  | (null extends P
      ? { readonly event: Event; readonly data?: P }
      : { readonly event: Event; readonly data: P })
  | readonly [Event, P]
  | TupleOf<readonly [Event, P]>;

/** What arrives as the payload of an event: any term without a contract. */
export type PayloadReceived<Events, Event extends EventName<Events>, Any> = string extends keyof Events
  ? Any
  : Events[Event];
