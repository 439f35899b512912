export { type Answered, type AskedRequest, AskedRequests, type RequestOptions } from './asked-requests.js';
export { Conversation, isRequest } from './conversation.js';
export {
  ConnectionLostError,
  DeviceOfflineError,
  NotSupportedError,
  RequestFailedError,
  RequestTimeoutError,
} from './errors.js';
export { type ReceivedRequest, ReceivedRequests } from './received-requests.js';
export { type Ask, request, stream } from './request.js';
