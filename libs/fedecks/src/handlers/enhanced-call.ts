import { type Type } from '@nestjs/common';
import { type ApplicationConfig, type ContextId, type ExternalContextCreator } from '@nestjs/core';
import {
  CUSTOM_ROUTE_ARGS_METADATA,
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  PIPES_METADATA,
  ROUTE_ARGS_METADATA,
} from '@nestjs/common/constants.js';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { catchError, defer, finalize, isObservable, mergeAll, type Observable, of, tap } from 'rxjs';
import { PARAM, type ParamMetadata } from './decorators.js';
import {
  argument,
  type DeviceContext,
  type HandlerCall,
  type Method,
  paramsOf,
  signalOf,
} from './handler-call.js';
import { type CreatorInternals } from './nest-internals.js';
import { noteRefusal } from './pipe-refusal.js';
import { Intercepted, isIterator } from './result.js';

const ENHANCERS = [GUARDS_METADATA, PIPES_METADATA, INTERCEPTORS_METADATA, EXCEPTION_FILTERS_METADATA];

/**
 * Whether Nest has to call this method. Global exception filters do not count, as with
 * Nest's own gateways: they are written for HTTP, and would fail on a device in place of the handler.
 */
export function isEnhanced(type: object, method: object, name: string, config: ApplicationConfig): boolean {
  if (ENHANCERS.some((key) => Reflect.hasMetadata(key, type) || Reflect.hasMetadata(key, method)))
    return true;
  const params = Object.entries(paramsOf(type, name));
  if (params.some(([key, { pipes }]) => key.includes(CUSTOM_ROUTE_ARGS_METADATA) || pipes.length > 0))
    return true;
  const globals = [config.getGlobalGuards(), config.getGlobalPipes(), config.getGlobalInterceptors()];
  return globals.some(({ length }) => length > 0) || hasScopedGlobals(config);
}

/** Whether the app has enhancers for all handlers that are made anew for each message or handler. */
export function hasScopedGlobals(config: ApplicationConfig): boolean {
  const scoped = [
    config.getGlobalRequestGuards(),
    config.getGlobalRequestPipes(),
    config.getGlobalRequestInterceptors(),
  ];
  return scoped.some(({ length }) => length > 0);
}

/** The enhancers of a method that are given as classes, for Nest to make. */
export function enhancerClasses(type: object, method: object, name: string): readonly Type[] {
  const given = [type, method].flatMap((target) =>
    ENHANCERS.flatMap((key) => (Reflect.getMetadata(key, target) ?? []) as unknown[]),
  );
  const pipes = Object.values(paramsOf(type, name)).flatMap((param) => param.pipes as unknown[]);
  return [...given, ...pipes].filter((each): each is Type => typeof each === 'function');
}

/** Calls methods through Nest's guards, pipes, interceptors and exception filters, as execution context `ws`. */
export class EnhancedCalls {
  constructor(private readonly creator: ExternalContextCreator) {}

  /**
   * @param pattern what `switchToWs().getPattern()` returns.
   * @param hostId of the provider or controller, for which Nest has made the enhancers.
   * @param contextId where Nest keeps what it has made for one message, if it has.
   */
  create(
    instance: object,
    method: Method,
    name: string,
    pattern: string,
    hostId: string,
    contextId?: ContextId,
  ): HandlerCall {
    const takesSignal = Object.keys(paramsOf(instance.constructor, name)).some((key) =>
      key.startsWith(`${PARAM.signal}:`),
    );
    const target = streaming(this.creator, `${instance.constructor.name}.${name}`).create(
      instance,
      method,
      name,
      paramsKey(instance.constructor, name),
      {
        exchangeKeyForValue: (
          type,
          data,
          // The third is the signal, where one is taken.
          [device, payload, signal]: [DeviceContext, unknown, unknown],
        ) => (type === PARAM.signal ? signal : argument(type, data as string | undefined, payload, device)),
      },
      contextId,
      hostId,
      { interceptors: true, guards: true, filters: true },
      'ws',
    );
    // Nest takes the last for the pattern.
    if (!takesSignal) return (payload, device): unknown => target(device, payload, pattern);
    return (payload, device, connection): unknown => target(device, payload, signalOf(connection), pattern);
  }
}

const UNDECORATED = 'fedecks:undecorated-parameters';
const PAYLOAD_AND_DEVICE: Readonly<Record<string, ParamMetadata>> = {
  [`${PARAM.payload}:0`]: { index: 0, pipes: [] },
  [`${PARAM.device}:1`]: { index: 1, pipes: [] },
};

/** Where the parameters of a method are kept. Undecorated ones are given a place of their own: pipes see them too. */
function paramsKey(type: object, name: string): string {
  if (Object.keys(paramsOf(type, name)).length > 0) return ROUTE_ARGS_METADATA;
  Reflect.defineMetadata(UNDECORATED, PAYLOAD_AND_DEVICE, type, name);
  return UNDECORATED;
}

/**
 * Nest's creator waits for the last value of a stream, and shows its filters only what is thrown before that.
 * Here a stream is sent value by value; the filters see what it fails with, whenever that is; and what no filter
 * takes is thrown, but not logged, since a device can cause it as often as it likes.
 * @param name of the handler, for messages to the developer.
 */
function streaming(creator: ExternalContextCreator, name: string): ExternalContextCreator {
  const nest = creator as unknown as CreatorInternals;
  const changed: Omit<CreatorInternals, 'modulesContainer'> &
    Pick<ExternalContextCreator, 'transformToResult' | 'getContextModuleKey'> = {
    // Nest searches providers only, and would not find the guards of a controller.
    getContextModuleKey: (type) =>
      creator.getContextModuleKey(type) ||
      ([...nest.modulesContainer.entries()].find(([, { controllers }]) => controllers.has(type))?.[0] ?? ''),
    transformToResult: (result: unknown) => Promise.resolve(result),
    interceptorsConsumer: {
      async intercept(interceptors, args, instance, callback, next, type) {
        if (interceptors.length === 0) return next();
        const progress = new Progress();
        const values = await nest.interceptorsConsumer.intercept(
          interceptors,
          args,
          instance,
          callback,
          () => progress.of(next()),
          type,
        );
        return new Watched(values as Observable<unknown>, progress);
      },
    },
    externalErrorProxy: {
      createProxy(target, exceptions, type) {
        return async (...args) => {
          const filtered = async (error: unknown): Promise<unknown> => {
            const filter = exceptions.filters.find(
              ({ exceptionMetatypes: types }) =>
                types.length === 0 || types.some((each) => error instanceof each),
            );
            if (!filter) throw error;
            const host = new ExecutionContextHost(args);
            host.setType(type);
            return filter.func(error, host);
          };
          try {
            return caught(await target(...args), filtered);
          } catch (error) {
            return filtered(error);
          }
        };
      },
    },
    filtersContextCreator: Object.assign(
      Object.create(nest.filtersContextCreator) as CreatorInternals['filtersContextCreator'],
      { getGlobalMetadata: () => [] },
    ),
    // A pipe of a method or class is about what the device has sent, not about the device.
    async getParamValue(value, param, pipes) {
      const { type, data } = param;
      if (type === PARAM.deviceId || type === PARAM.device || type === PARAM.signal) return value;
      try {
        return await nest.getParamValue.call(creator, value, param, pipes);
      } catch (error) {
        noteRefusal(error, name, data, value);
        throw error;
      }
    },
  };
  return Object.assign(Object.create(creator) as ExternalContextCreator, changed);
}

type Filtered = (error: unknown) => Promise<unknown>;

/** A result whose later errors go through the filters too. */
function caught(result: unknown, filtered: Filtered): unknown {
  const recovering = (values: Observable<unknown>): Observable<unknown> =>
    values.pipe(
      catchError((error: unknown) =>
        defer(() => filtered(error).then((value) => (isObservable(value) ? value : of(value)))).pipe(
          mergeAll(),
        ),
      ),
    );
  if (result instanceof Watched) return result.progress.intercepted(recovering(result.values));
  if (isObservable(result)) return recovering(result);
  return typeof result === 'object' &&
    result !== null &&
    (Symbol.asyncIterator in result || isIterator(result))
    ? recoveringIterable(result as AsyncIterable<unknown>, filtered)
    : result;
}

async function* recoveringIterable(values: AsyncIterable<unknown>, filtered: Filtered): AsyncGenerator {
  try {
    yield* values;
  } catch (error) {
    yield await filtered(error);
  }
}

/** The values interceptors have made of a method that runs when they are subscribed to. */
class Watched {
  constructor(
    readonly values: Observable<unknown>,
    readonly progress: Progress,
  ) {}
}

/**
 * Tells when an intercepted call is done, so that the device's next message may be handled: when its values have
 * ended, when the method has returned a stream of its own, or with the first value after the method has finished
 * (interceptors may add values without end).
 */
class Progress {
  private methodFinished = false;
  private done!: () => void;
  private readonly settled = new Promise<void>((resolve) => (this.done = resolve));

  async of(method: Promise<unknown>): Promise<unknown> {
    const result = await method;
    this.methodFinished = true;
    if (isObservable(result)) this.done();
    return result;
  }

  intercepted(values: Observable<unknown>): Intercepted {
    const watched = values.pipe(
      tap(() => {
        if (this.methodFinished) this.done();
      }),
      finalize(this.done),
    );
    return new Intercepted(watched, this.settled);
  }
}
