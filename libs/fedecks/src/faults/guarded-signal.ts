import { isPromise, type OnFailure } from './guarded-subscriber.js';

type AddArguments = Parameters<AbortSignal['addEventListener']>;
type RemoveArguments = Parameters<AbortSignal['removeEventListener']>;
type Listener = AddArguments[1];

/**
 * Creates a signal whose listeners may throw: `onFailure` receives the error. Node would rethrow it uncaught, which ends
 * the process. Does not cover listeners of a derived signal (`AbortSignal.any`).
 */
export function guardedController(onFailure: OnFailure): AbortController {
  const controller = new AbortController();
  const { signal } = controller;
  const guards = new WeakMap<object, (event: Event) => void>();
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  // All listeners pass through this method, including `onabort` and those of Node.
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
