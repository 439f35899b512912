export {
  AbortSignal,
  Device,
  DeviceEndpoint,
  DeviceId,
  type HandlerKind,
  type MessageGuard,
  OnConnected,
  OnDisconnected,
  OnMessage,
  OnRawMessage,
  OnSocketError,
  Payload,
} from './decorators.js';
export { InvalidHandlerError } from './errors.js';
export { type DeviceContext, type SignalSource } from './handler-call.js';
export { type FoundHandler, HandlerExplorer } from './handler-explorer.js';
export { HandlerRunner, type ResultSink } from './handler-runner.js';
export { LONG_RUN_MS, Mailbox, type MailboxSource } from './mailbox.js';
export { type HandlerResult, stop, Stop } from './result.js';
export { type Handler, Router, UNHANDLED } from './router.js';
