export { type CredentialsToSend } from './auth-header.js';
export {
  type Contract,
  type EventName,
  type EventsOf,
  type MessageOf,
  type MessageToSend,
  type PayloadReceived,
  type PayloadToSend,
} from './contract.js';
export { type DecodeOptions, decodeTerm } from './decode.js';
export { type EncodeOptions, encodeTerm } from './encode.js';
export { type Compression } from './inflate.js';
export { FedecksError, type TermDecodeCode, TermDecodeError, TermEncodeError } from './errors.js';
export { type EventMessage, eventOf, MAX_DEVICE_ID_BYTES } from './protocol.js';
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
