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
import { Intercepted, isIterator } from '../results/index.js';
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

const ENHANCERS = [GUARDS_METADATA, PIPES_METADATA, INTERCEPTORS_METADATA, EXCEPTION_FILTERS_METADATA];

/**
 * Whether Nest has to call this method. Global exception filters do not count, as in Nest's own gateways: they are
 * written for HTTP, and their failure would hide the error of the handler.
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

/** Whether the app has global enhancers that are request-scoped or transient. */
export function hasScopedGlobals(config: ApplicationConfig): boolean {
  const scoped = [
    config.getGlobalRequestGuards(),
    config.getGlobalRequestPipes(),
    config.getGlobalRequestInterceptors(),
  ];
  return scoped.some(({ length }) => length > 0);
}

/** The enhancers of a method that are given as classes, which Nest instantiates. */
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
   * @param hostId the provider or controller for which Nest instantiated the enhancers.
   * @param contextId the key of the instances of one message, if they are request-scoped.
   */
  create(
    instance: object,
    method: Method,
    name: string,
    pattern: string,
    hostId: string,
    contextId?: ContextId,
  ): HandlerCall {
    const params = Object.keys(paramsOf(instance.constructor, name));
    const takes = (type: number): boolean => params.some((key) => key.startsWith(`${type}:`));
    const takesSignal = takes(PARAM.signal);
    const takesDelivery = takes(PARAM.delivery);
    const target = streaming(this.creator, `${instance.constructor.name}.${name}`).create(
      instance,
      method,
      name,
      paramsKey(instance.constructor, name),
      {
        exchangeKeyForValue: (
          type,
          data,
          // The others where they are taken: the delivery is last but one, before the pattern.
          [device, payload, ...others]: [DeviceContext, unknown, ...unknown[]],
        ) => {
          if (type === PARAM.signal) return others[0];
          if (type === PARAM.delivery) return others.at(-2);
          return argument(type, data as string | undefined, payload, device);
        },
      },
      contextId,
      hostId,
      { interceptors: true, guards: true, filters: true },
      'ws',
    );
    // Nest takes the last for the pattern.
    if (!takesSignal && !takesDelivery) return (payload, device): unknown => target(device, payload, pattern);
    return (payload, device, context): unknown =>
      target(
        device,
        payload,
        ...(takesSignal ? [signalOf(context)] : []),
        ...(takesDelivery ? [context?.delivery] : []),
        pattern,
      );
  }
}

const UNDECORATED = 'fedecks:undecorated-parameters';
const PAYLOAD_AND_DEVICE: Readonly<Record<string, ParamMetadata>> = {
  [`${PARAM.payload}:0`]: { index: 0, pipes: [] },
  [`${PARAM.device}:1`]: { index: 1, pipes: [] },
};

/** The metadata key of a method's parameters. Undecorated parameters get their own key, so that pipes see them too. */
function paramsKey(type: object, name: string): string {
  if (Object.keys(paramsOf(type, name)).length > 0) return ROUTE_ARGS_METADATA;
  Reflect.defineMetadata(UNDECORATED, PAYLOAD_AND_DEVICE, type, name);
  return UNDECORATED;
}

/** What no device has sent. */
const OURS: readonly number[] = [PARAM.deviceId, PARAM.device, PARAM.signal, PARAM.delivery];

/**
 * Nest's creator waits for the last value of a stream, and its filters see only errors before that. This one sends a
 * stream value by value, and its filters see an error whenever it occurs. It throws errors that no filter handles, and
 * does not log them: a device could cause any number of lines.
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
    // Pipes of a method or class apply to the payload, not to the device.
    async getParamValue(value, param, pipes) {
      const { type, data } = param;
      if (typeof type === 'number' && OURS.includes(type)) return value;
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

/** The values that interceptors return. The method runs on subscription. */
class Watched {
  constructor(
    readonly values: Observable<unknown>,
    readonly progress: Progress,
  ) {}
}

/**
 * Resolves when an intercepted call is done, and the next message of the device may be handled: when its values have
 * ended, when the method has returned a stream of its own, or with the first value after the method has finished
 * (interceptors may add any number of values).
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
