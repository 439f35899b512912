export { type DeliveryInfo } from './delivery-info.js';
export { type CallContext, HandlerRunner, type ResultSink } from './handler-runner.js';
export { type RequestFailure, RequestSink } from './request-sink.js';
export { type HandlerResult, Intercepted, isIterator, stop, Stop } from './result.js';
