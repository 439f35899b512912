export * from '../client/index.js';
export {
  AbortSignal,
  type CannotHandle,
  Delivery,
  DeviceId,
  FromCloud,
  type HandlerDecorator,
  InvalidHandlerError,
  type MessageGuard,
  OnConnected,
  OnMessage,
  type OnMessageOf,
  Payload,
} from '../handlers/index.js';
export { type DeliveryInfo, type HandlerResult } from '../results/index.js';
export {
  type FedecksClientAsyncOptions,
  FedecksClientModule,
  type FedecksClientOptionsFactory,
} from './fedecks-client.module.js';
export { type ConnectionLost, OnDisconnected, onMessageFor } from './decorators.js';
