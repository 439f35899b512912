export {
  AbortSignal,
  type CannotHandle,
  Delivery,
  Device,
  DeviceEndpoint,
  DeviceId,
  type HandlerDecorator,
  InvalidHandlerError,
  type MessageGuard,
  OnConnected,
  OnMessage,
  type OnMessageOf,
  OnRawMessage,
  Payload,
} from '../handlers/index.js';
export {
  type DeliveryClaim,
  type DeviceQueue,
  type HandledPosition,
  type QueueEntry,
} from '../delivery/index.js';
export {
  ConnectionLostError,
  DeviceOfflineError,
  NotSupportedError,
  RequestFailedError,
  type RequestOptions,
  RequestTimeoutError,
} from '../requests/index.js';
export { type DeliveryInfo, type HandlerResult, stop, type Stop } from '../results/index.js';
export { InvalidOptionsError } from '../options/index.js';
export {
  type Backplane,
  type BackplaneEndpoint,
  type BackplaneFactory,
  type BackplaneHealth,
  type PushResult,
} from './backplane.js';
export { type DeviceDeliverOptions } from './deliveries/deliver-options.js';
export {
  type DeliveryStore,
  type HandledStore,
  MemoryDeliveryStore,
  type QueueStore,
} from './deliveries/delivery-store.js';
export { type DeviceDeliveries } from './deliveries/device-deliveries.js';
export { type DeviceDelivery, type DeviceDeliveryState } from './deliveries/device-delivery.js';
export { type CloneTrace, type NewerConnection, type ReplacedProcess } from './clones.js';
export {
  type AuthenticatedDevice,
  type AuthenticationResult,
  type Claims,
  type ConnectedDevice,
  type Credentials,
  type DeviceAuthenticator,
  type DisconnectCause,
  type SocketError,
} from './device.js';
export { type Downstream, type DownstreamMessage } from './downstream.js';
export {
  BackplaneError,
  type BackplaneErrorCode,
  DeliveryQueueFullError,
  MessageTooLargeError,
} from './errors.js';
export { type Duration } from './duration.js';
export { type FedecksOptions } from './fedecks-options.js';
export { FedecksGateway } from './fedecks.gateway.js';
export { type FedecksAsyncOptions, FedecksModule, type FedecksOptionsFactory } from './fedecks.module.js';
export { type ConnectionChange, type UpstreamMessage } from './endpoints.js';
export { type FedecksEndpoint } from './fedecks-endpoint.js';
export { Fedecks, type FedecksHealth } from './fedecks.service.js';
export { FedecksHealthIndicator, type FedecksHealthResult } from './health-indicator.js';
export {
  FEDECKS_METRICS,
  type MetricDefinition,
  type MetricLabels,
  type MetricName,
  type MetricsRecorder,
} from './metrics.js';
export { OnDisconnected, onMessageFor, OnSocketError } from './decorators.js';
export { Presence, type PresenceEntry, type PresencePage, type PresenceQuery } from './presence.js';
export { MemoryRevocations, type RevocationStore } from './revocations.js';
export { networkOf } from './upgrade/address.js';
export { FedecksAuthGuard } from './upgrade/auth.guard.js';
export { type UpgradeRequest } from './upgrade/upgrade-request.js';
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
