import { isPromise, type OnFailure } from './guarded-subscriber.js';

type AddArguments = Parameters<AbortSignal['addEventListener']>;
type RemoveArguments = Parameters<AbortSignal['removeEventListener']>;
type Listener = AddArguments[1];

/**
 * Makes a signal whose listeners may throw: that goes to `onFailure`. Node would throw it again where nobody can catch
 * it, which ends the process. Listeners of a signal made from it (`AbortSignal.any`) are out of reach.
 */
export function guardedController(onFailure: OnFailure): AbortController {
  const controller = new AbortController();
  const { signal } = controller;
  const guards = new WeakMap<object, (event: Event) => void>();
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  // Everything that listens to a signal comes by here, `onabort` and Node's own functions too.
  signal.addEventListener = (...[type, listener, options]: AddArguments): void => {
    const guard = guards.get(listener) ?? guarded(signal, listener, onFailure);
    guards.set(listener, guard);
    add(type, guard, options);
  };
  signal.removeEventListener = (...[type, listener, options]: RemoveArguments): void =>
    remove(type, guards.get(listener) ?? listener, options);
  return controller;
}

function guarded(signal: AbortSignal, listener: Listener, onFailure: OnFailure): (event: Event) => void {
  const call: (event: Event) => unknown =
    typeof listener === 'function' ? listener.bind(signal) : (event): unknown => listener.handleEvent(event);
  return (event) => {
    try {
      const result = call(event);
      if (isPromise(result)) Promise.resolve(result).then(undefined, onFailure);
    } catch (error) {
      onFailure(error);
    }
  };
}
