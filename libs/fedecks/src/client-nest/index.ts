export * from '../client/index.js';
export {
  AbortSignal,
  type CannotHandle,
  DeviceId,
  FromCloud,
  type HandlerDecorator,
  type HandlerResult,
  InvalidHandlerError,
  type MessageGuard,
  OnConnected,
  OnMessage,
  type OnMessageOf,
  Payload,
} from '../handlers/index.js';
export { type ConnectionLost } from './client-handlers.js';
export {
  type FedecksClientAsyncOptions,
  FedecksClientModule,
  type FedecksClientOptionsFactory,
} from './fedecks-client.module.js';
export { OnDisconnected, onMessageFor } from './decorators.js';
