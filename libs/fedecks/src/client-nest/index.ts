export * from '../client/index.js';
export {
  AbortSignal,
  DeviceId,
  type HandlerResult,
  InvalidHandlerError,
  type MessageGuard,
  OnConnected,
  OnDisconnected,
  OnMessage,
  Payload,
} from '../handlers/index.js';
export { type ConnectionLost } from './client-handlers.js';
export {
  type FedecksClientAsyncOptions,
  FedecksClientModule,
  type FedecksClientOptionsFactory,
} from './fedecks-client.module.js';
