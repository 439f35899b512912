export {
  AbortSignal,
  Device,
  DeviceEndpoint,
  DeviceId,
  FromCloud,
  type HandlerKind,
  type MessageGuard,
  OnConnected,
  OnDisconnected,
  OnMessage,
  type OnMessageOf,
  OnRawMessage,
  OnSocketError,
  Payload,
} from './decorators.js';
export { InvalidHandlerError } from './errors.js';
export { guardedController } from './guarded-signal.js';
export { type DeviceContext, type SignalSource } from './handler-call.js';
export { type FoundHandler, HandlerExplorer } from './handler-explorer.js';
export { HandlerRunner, type ResultSink } from './handler-runner.js';
export { Inbox, type InboxLimits, type InboxOwner, LONG_RUN_MS } from './inbox.js';
export { type AsyncOptions, OptionsProvider } from './options-provider.js';
export { PEER } from './peers.js';
export { refusalOf } from './pipe-refusal.js';
export { type HandlerResult, stop, Stop } from './result.js';
export { type CannotHandle, type HandlerDecorator } from './method-check.js';
export { type Handler, type Route, Router } from './router.js';
export { SLICE_MS, turns, type Weight, type Worker } from './turns.js';
