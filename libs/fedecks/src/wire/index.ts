export { type Attempt, ATTEMPT_HEADER, decodeAttempt, encodeAttempt } from './attempt.js';
export {
  type AuthHeader,
  type AuthHeaderProblem,
  type CredentialsToSend,
  decodeAuthHeader,
  encodeAuthHeader,
} from './auth-header.js';
export { CLOSE, closeCodeAdvice, closeCodeWords } from './close-codes.js';
export {
  type Contract,
  type EventName,
  type EventsOf,
  type MessageOf,
  type MessageToSend,
  type PayloadReceived,
  type PayloadToSend,
} from './contract.js';
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
  type RequestErrorCode,
  speaksProtocol2,
} from './control.js';
export { type DecodeOptions, decodeTerm } from './decode.js';
export { decodeDeliveryControl, readDelivered, readDeliverHead } from './delivery-control.js';
export { type EncodeOptions, encodeTerm, encodeTermAfter } from './encode.js';
export { type Compression } from './inflate.js';
export { decodeLimits, encodeLimits, type Limits, LIMITS_HEADER } from './limits.js';
export {
  FedecksError,
  ReservedMessageError,
  type TermDecodeCode,
  TermDecodeError,
  TermEncodeError,
} from './errors.js';
export {
  AUTH_HEADER,
  beginsAsTerm,
  CLONE_REASON,
  DEFAULT_PATH,
  DEVICE_ID_KEY,
  encodeTokenMessage,
  type EventMessage,
  eventOf,
  isCompressedTerm,
  isTokenPlease,
  isTokenPleaseFrame,
  looksLikeTokenMessage,
  MAX_AUTH_HEADER_LENGTH,
  MAX_DEVICE_ID_BYTES,
  REFUSAL_HEADER,
  TOKEN_KEY,
  TOKEN_PLEASE,
  tokenIn,
  WEBSOCKET_SUFFIX,
} from './protocol.js';
export {
  atom,
  Atom,
  BitString,
  type CannotBeSent,
  float,
  Float,
  ImproperList,
  Pid,
  Reference,
  type Sendable,
  type Sent,
  type Term,
  tuple,
  Tuple,
  type TupleOf,
} from './term.js';
