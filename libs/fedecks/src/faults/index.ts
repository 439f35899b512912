export { messageOf, nameOf, stackOf } from './describe.js';
export { printable } from './printable.js';
export { GuardedObservable } from './guarded-observable.js';
export { GuardedSubscriber, isPromise, type OnFailure } from './guarded-subscriber.js';
export { guardedController } from './guarded-signal.js';
