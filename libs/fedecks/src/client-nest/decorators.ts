import { type ClientEvent } from '../client/index.js';
import * as handlers from '../handlers/index.js';
import { type Contract } from '../wire/internal.js';

/** What `@OnDisconnected` receives on a device: the `connection_lost` event of the client. */
export type ConnectionLost = Extract<ClientEvent, { type: 'connection_lost' }>;

/**
 * Runs once after each connection. The payload is a {@link ConnectionLost}. The result is ignored.
 *
 * Each parameter of the method must accept the payload, the device, its id or the signal. `Also` adds types that your own
 * pipes or parameter decorators produce.
 */
export function OnDisconnected<Also = never>() {
  return handlers.OnDisconnected<ConnectionLost, Also>();
}

/**
 * `@OnMessage` for a contract, on a device: with `const On = onMessageFor<Greenhouse>()`, `@On('...')` accepts the events
 * of `down` and returns those of `up`. Only the compiler checks this: incoming messages are not validated.
 */
export function onMessageFor<C extends Contract>(): handlers.OnMessageOf<C, 'down', 'up'> {
  return handlers.OnMessage;
}
