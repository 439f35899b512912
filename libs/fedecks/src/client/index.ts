export { FedecksClient, type ClientDetails } from './client.js';
export { type Credentials } from './auth.js';
export {
  type ClientEvent,
  type ConnectionLoss,
  type ScheduleCause,
  type TokenRefusal,
  type UnregisteredCause,
  type UpgradeFailure,
} from './client-event.js';
export { explain, isFailure } from './explain-event.js';
export { type FedecksClientOptions } from './client-options.js';
export { PastMoment } from './past-moment.js';
export { proxyFromEnvironment, type ProxyChoice } from './proxy.js';
export { type TlsOptions } from './tls.js';
export { type ClientStatus } from './state.js';
export { FileTokenStore, MemoryTokenStore, type TokenStore } from './token-store.js';
export {
  ClientStoppedError,
  LoginFailedError,
  NotConnectedError,
  SendBufferFullError,
  type LoginFailure,
} from './errors.js';
export { InvalidOptionsError } from '../options/index.js';
export {
  atom,
  Atom,
  type CannotBeSent,
  type Contract,
  type MessageOf,
  type Sendable,
  type Term,
  tuple,
  Tuple,
  type TupleOf,
} from '../wire/index.js';
