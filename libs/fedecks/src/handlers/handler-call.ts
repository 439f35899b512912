import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { type SignalSource } from '../results/index.js';
import { PARAM, type ParamMetadata } from './decorators.js';

/** The device, as handlers see it. Cloud and device each add properties. */
export interface DeviceContext {
  readonly id: string | null;
}

/**
 * Calls a handler with a payload from, or about, a device.
 * @param connection its connection, if any.
 */
export type HandlerCall = (payload: unknown, device: DeviceContext, connection?: SignalSource) => unknown;

export type Method = (...args: unknown[]) => unknown;

/** The decorated parameters of a method, by `<type>:<index>`. */
export function paramsOf(type: object, name: string): Readonly<Record<string, ParamMetadata>> {
  return (Reflect.getMetadata(ROUTE_ARGS_METADATA, type, name) ?? {}) as Record<string, ParamMetadata>;
}

/** The argument for a parameter decorator of this library. */
export function argument(
  type: number,
  property: string | undefined,
  payload: unknown,
  device: DeviceContext,
  connection?: SignalSource,
): unknown {
  if (type === PARAM.deviceId) return device.id;
  if (type === PARAM.device) return device;
  if (type === PARAM.signal) return signalOf(connection);
  if (property === undefined) return payload;
  // Own properties only: `@Payload('constructor')` must not find an inherited property.
  return typeof payload === 'object' && payload !== null && Object.hasOwn(payload, property)
    ? (payload as Record<string, unknown>)[property]
    : undefined;
}

/** Without a connection, a new signal: listeners would accumulate on a shared one that never aborts. */
export function signalOf(connection: SignalSource | undefined): AbortSignal {
  return connection ? connection.signal : new AbortController().signal;
}

/** Calls a method directly that has no guards, pipes, interceptors or filters. */
export function directCall(instance: object, method: Method, name: string): HandlerCall {
  const params = Object.entries(paramsOf(instance.constructor, name)).map(([key, { index, data }]) => ({
    index,
    type: parseInt(key, 10),
    data,
  }));
  const [only, other] = params;
  if (!only) return (payload, device) => method.call(instance, payload, device);
  // Fast paths: an array and a spread per message would cost more than the call.
  if (!other && only.index === 0 && only.type === PARAM.payload && only.data === undefined) {
    return (payload) => method.call(instance, payload);
  }
  const length = Math.max(...params.map(({ index }) => index)) + 1;
  return (payload, device, connection) => {
    const args = new Array<unknown>(length).fill(undefined);
    for (const { index, type, data } of params)
      args[index] = argument(type, data, payload, device, connection);
    return method.apply(instance, args);
  };
}
