import * as handlers from '../handlers/index.js';
import { type Contract } from '../wire/internal.js';
import { type ConnectionLost } from './client-handlers.js';

/**
 * Runs once for each connection that has ended. The payload is a {@link ConnectionLost}; nobody is left to
 * answer.
 *
 * The compiler refuses a method whose parameters take neither that, nor the device, its id or the signal. `Also` is what
 * they take beside, if a pipe or a parameter decorator of your own makes it.
 */
export function OnDisconnected<Also = never>() {
  return handlers.OnDisconnected<ConnectionLost, Also>();
}

/**
 * `@OnMessage` of a contract, on the side of the device: `const On = onMessageFor<Greenhouse>()`, and `@On('...')` takes
 * the events of `down` and answers with those of `up`. Nothing is checked when messages arrive.
 */
export function onMessageFor<C extends Contract>(): handlers.OnMessageOf<C, 'down', 'up'> {
  return handlers.OnMessage;
}
