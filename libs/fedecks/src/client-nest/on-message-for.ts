import { OnMessage, type OnMessageOf } from '../handlers/index.js';
import { type Contract } from '../wire/index.js';

/**
 * `@OnMessage` of a contract, on the side of the device: `const On = onMessageFor<Greenhouse>()`, and `@On('...')` takes
 * the events of `down` and answers with those of `up`. Nothing is checked when messages arrive.
 */
export function onMessageFor<C extends Contract>(): OnMessageOf<C, 'down', 'up'> {
  return OnMessage;
}
