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
export { type Delivery, type DeliverOptions, type OutboxDetails, type OutboxFlow } from './delivery.js';
export { type DeliveryOutcome, type OutboxLosses } from './delivery-outcomes.js';
export { OutboxFullError, OutboxStoreError, type OutboxStoreFailure } from './outbox/errors.js';
export { MemoryOutboxStore } from './outbox/memory-outbox-store.js';
export { type OutboxOptions } from './outbox/outbox-options.js';
export {
  type Durability,
  type Expired,
  type LaneState,
  type OutboxFailure,
  type OutboxListener,
  type OutboxMessage,
  type OutboxRecord,
  type OutboxState,
  type OutboxStore,
} from './outbox/outbox-store.js';
export { type Moment } from './outbox/moment.js';
export { type FoundLane } from '../delivery/index.js';
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
  ConnectionLostError,
  NotSupportedError,
  RequestFailedError,
  type RequestOptions,
  RequestTimeoutError,
} from '../requests/index.js';
export { type DeliveryContext } from './delivery-handlers.js';
export { type RequestContext } from './request-handlers.js';
export {
  atom,
  Atom,
  type CannotBeSent,
  type Contract,
  type MessageOf,
  ReservedMessageError,
  type Sendable,
  type Term,
  tuple,
  Tuple,
  type TupleOf,
} from '../wire/index.js';
