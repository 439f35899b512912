export {
  Device,
  DeviceEndpoint,
  DeviceId,
  type HandlerResult,
  InvalidHandlerError,
  type MessageGuard,
  OnConnected,
  OnDisconnected,
  OnMessage,
  OnRawMessage,
  OnSocketError,
  Payload,
  stop,
  type Stop,
} from '../handlers/index.js';
export { InvalidOptionsError } from '../options/index.js';
export { FedecksAuthGuard, type UpgradeRequest } from './auth.guard.js';
export {
  type AuthenticationResult,
  type Claims,
  type Credentials,
  type DeviceAuthenticator,
} from './authenticator.js';
export {
  type AuthenticatedDevice,
  type ConnectedDevice,
  type DisconnectCause,
  type SocketError,
} from './device.js';
export { ReservedMessageError } from './errors.js';
export { type Duration, type FedecksOptions } from './fedecks-options.js';
export { FedecksGateway } from './fedecks.gateway.js';
export { type FedecksAsyncOptions, FedecksModule, type FedecksOptionsFactory } from './fedecks.module.js';
export {
  type ConnectionChange,
  type DownstreamMessage,
  Fedecks,
  type PushResult,
  type UpstreamMessage,
} from './fedecks.service.js';
export { MemoryRevocations, type RevocationStore } from './revocations.js';
