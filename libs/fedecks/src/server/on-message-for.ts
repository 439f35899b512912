import { OnMessage, type OnMessageOf } from '../handlers/index.js';
import { type Contract } from '../wire/index.js';

/**
 * `@OnMessage` of a contract, on the side of the cloud: `const On = onMessageFor<Greenhouse>()`, and `@On('...')` takes
 * the events of `up` and answers with those of `down`. Nothing is checked when messages arrive.
 */
export function onMessageFor<C extends Contract>(): OnMessageOf<C, 'up', 'down'> {
  return OnMessage;
}
