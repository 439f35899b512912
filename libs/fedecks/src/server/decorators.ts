import * as handlers from '../handlers/index.js';
import { type Contract } from '../wire/internal.js';
import { type DisconnectCause, type SocketError } from './device.js';

/**
 * Runs once for each connection that has ended, after the last of its messages. The payload is a {@link DisconnectCause};
 * what is returned goes nowhere.
 *
 * The compiler refuses a method whose parameters take neither that, nor the device, its id or the signal. `Also` is what
 * they take beside, if a pipe or a parameter decorator of your own makes it.
 */
export function OnDisconnected<Also = never>() {
  return handlers.OnDisconnected<DisconnectCause, Also>();
}

/**
 * Runs for each refused upgrade and each failure of a handler or peer. The payload is a {@link SocketError}; the id of the
 * device is `null` where it is not known, and of `@Device()` there is the id only. The rest is as with
 * {@link OnDisconnected}.
 */
export function OnSocketError<Also = never>() {
  return handlers.OnSocketError<SocketError, Also>();
}

/**
 * `@OnMessage` of a contract, on the side of the cloud: `const On = onMessageFor<Greenhouse>()`, and `@On('...')` takes
 * the events of `up` and answers with those of `down`. Nothing is checked when messages arrive.
 */
export function onMessageFor<C extends Contract>(): handlers.OnMessageOf<C, 'up', 'down'> {
  return handlers.OnMessage;
}
