import * as handlers from '../handlers/index.js';
import { type Contract } from '../wire/internal.js';
import { type DisconnectCause, type SocketError } from './device.js';

/**
 * Runs once after each connection, after the last of its messages. The payload is a {@link DisconnectCause}. The result
 * is ignored.
 *
 * Each parameter of the method must accept the payload, the device, its id or the signal. `Also` adds types that your own
 * pipes or parameter decorators produce.
 */
export function OnDisconnected<Also = never>() {
  return handlers.OnDisconnected<DisconnectCause, Also>();
}

/**
 * Runs for each rejected upgrade and each failure of a handler or peer. The payload is a {@link SocketError}. The device
 * id is `null` if unknown, and `@Device()` has only the id. Parameters and result are as for {@link OnDisconnected}.
 */
export function OnSocketError<Also = never>() {
  return handlers.OnSocketError<SocketError, Also>();
}

/**
 * `@OnMessage` for a contract, in the cloud: with `const On = onMessageFor<Greenhouse>()`, `@On('...')` accepts the events
 * of `up` and returns those of `down`. Only the compiler checks this: incoming messages are not validated.
 */
export function onMessageFor<C extends Contract>(): handlers.OnMessageOf<C, 'up', 'down'> {
  return handlers.OnMessage;
}
