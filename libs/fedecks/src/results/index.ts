export { HandlerRunner, type ResultSink, type SignalSource } from './handler-runner.js';
export { type RequestFailure, RequestSink } from './request-sink.js';
export { type HandlerResult, Intercepted, isIterator, stop, Stop } from './result.js';
