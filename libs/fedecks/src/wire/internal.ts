/** What the other folders of this library import: the public entry, and the words of the protocol. */
export * from './index.js';
export { type Attempt, ATTEMPT_HEADER, decodeAttempt, encodeAttempt } from './attempt.js';
export {
  type AuthHeader,
  type AuthHeaderProblem,
  decodeAuthHeader,
  encodeAuthHeader,
} from './auth-header.js';
export { CLOSE, closeCodeAdvice, closeCodeWords } from './close-codes.js';
export {
  type ControlHead,
  type ControlMessage,
  type ControlType,
  controlTypeOf,
  decodeControl,
  type DeliverHead,
  type DeliveryControl,
  type DeliveryWindow,
  encodeControlAfter,
  encodeDeliverAfter,
  type HandledInLane,
  isOfDeliveries,
  looksLikeControl,
  MAX_REQUEST_ID,
  type NackCode,
  PROTOCOL_2,
  PROTOCOL_HEADER,
  readControlHead,
  type RequestControl,
  speaksProtocol2,
} from './control.js';
export { decodeToForward } from './decode.js';
export { decodeDeliveryControl, readDelivered, readDeliverHead } from './delivery-control.js';
export { encodeTermAfter } from './encode.js';
export { decodeLimits, encodeLimits, type Limits, LIMITS_HEADER } from './limits.js';
export {
  AUTH_HEADER,
  beginsAsTerm,
  CLONE_REASON,
  DEFAULT_PATH,
  DEVICE_ID_KEY,
  encodeTokenMessage,
  isCompressedTerm,
  isTokenPlease,
  isTokenPleaseFrame,
  looksLikeTokenMessage,
  MAX_AUTH_HEADER_LENGTH,
  REFUSAL_HEADER,
  TOKEN_KEY,
  TOKEN_PLEASE,
  tokenIn,
  WEBSOCKET_SUFFIX,
} from './protocol.js';
