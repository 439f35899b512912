export {
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
export { InvalidHandlerError, nameOfError } from './errors.js';
export { type DeviceContext } from './handler-call.js';
export { type FoundHandler, HandlerExplorer } from './handler-explorer.js';
export { Inbox, type InboxLimits, type InboxOwner, LONG_RUN_MS } from './inbox.js';
export { deliver, type HandlerResult, type ResultSink, stop, Stop } from './result.js';
export { type Handler, type Route, Router } from './router.js';
export { SLICE_MS, turns, type Worker } from './turns.js';
