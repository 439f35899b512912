import { AsyncLocalStorage } from 'node:async_hooks';
import { type ContextId, type ApplicationConfig, type ExternalContextCreator } from '@nestjs/core';
import {
  CUSTOM_ROUTE_ARGS_METADATA,
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  PIPES_METADATA,
  ROUTE_ARGS_METADATA,
} from '@nestjs/common/constants.js';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { catchError, defer, finalize, from, isObservable, Observable, of, switchMap } from 'rxjs';
import { argument, type DeviceContext, type HandlerCall, type Method, paramsOf } from './handler-call.js';
import { Intercepted } from './result.js';

/** Whether anything of Nest's stands between a message and this method. */
export function isEnhanced(type: object, method: object, name: string, config: ApplicationConfig): boolean {
  const keys = [GUARDS_METADATA, PIPES_METADATA, EXCEPTION_FILTERS_METADATA];
  if (keys.some((key) => Reflect.hasMetadata(key, type) || Reflect.hasMetadata(key, method))) return true;
  const params = Object.entries(paramsOf(type, name));
  if (params.some(([key, { pipes }]) => key.includes(CUSTOM_ROUTE_ARGS_METADATA) || pipes.length > 0))
    return true;
  const globals = [
    config.getGlobalGuards(),
    config.getGlobalPipes(),
    config.getGlobalFilters(),
    config.getGlobalRequestGuards(),
    config.getGlobalRequestPipes(),
    config.getGlobalRequestFilters(),
  ];
  return globals.some(({ length }) => length > 0) || isIntercepted(type, method, config);
}

function isIntercepted(type: object, method: object, config: ApplicationConfig): boolean {
  return (
    Reflect.hasMetadata(INTERCEPTORS_METADATA, type) ||
    Reflect.hasMetadata(INTERCEPTORS_METADATA, method) ||
    config.getGlobalInterceptors().length > 0 ||
    config.getGlobalRequestInterceptors().length > 0
  );
}

/** Where Nest keeps the providers it made for one message. */
export interface RequestScope {
  readonly contextId: ContextId;
  readonly inquirerId: string;
}

/** Calls methods through Nest's guards, pipes, interceptors and exception filters, as execution context `ws`. */
export class EnhancedCalls {
  private readonly creator: ExternalContextCreator;
  /** Told when the method of the call in progress has finished, whatever its interceptors go on to do. */
  private readonly finished = new AsyncLocalStorage<() => void>();

  constructor(
    creator: ExternalContextCreator,
    private readonly config: ApplicationConfig,
  ) {
    this.creator = streaming(creator);
  }

  create(instance: object, method: Method, name: string, scope?: RequestScope): HandlerCall {
    const decorated = Object.keys(paramsOf(instance.constructor, name)).length > 0;
    const intercepted = isIntercepted(instance.constructor, method, this.config);
    const target = this.creator.create(
      instance,
      intercepted || !decorated ? this.watched(method, decorated) : method,
      name,
      ROUTE_ARGS_METADATA,
      {
        exchangeKeyForValue: (type, data, [device, payload]: [DeviceContext, unknown]) =>
          argument(type, data as string | undefined, payload, device),
      },
      scope?.contextId,
      scope?.inquirerId,
      { interceptors: true, guards: true, filters: true },
      'ws',
    );
    if (!intercepted) return (payload, device): unknown => target(device, payload);
    return (payload, device) => {
      let settle!: () => void;
      const settled = new Promise<void>((resolve) => (settle = resolve));
      const run = async (): Promise<unknown> => {
        const result: unknown = await target(device, payload);
        if (!isObservable(result)) return result;
        const values = new Observable((subscriber) =>
          this.finished.run(settle, () => result.subscribe(subscriber)),
        );
        return new Intercepted(values.pipe(finalize(settle)), settled);
      };
      return this.finished.run(settle, run);
    };
  }

  /** The method, telling when it has finished. It keeps name and metadata: by them Nest finds what belongs to it. */
  private watched(method: Method, decorated: boolean): Method {
    const { finished } = this;
    const watched = function (this: object, ...args: unknown[]): unknown {
      const settle = finished.getStore();
      // Without parameter decorators Nest passes the arguments of its context, in which the device goes first.
      const result = decorated ? method.apply(this, args) : method.call(this, args[1], args[0]);
      if (settle && result instanceof Promise) result.then(settle, settle);
      else settle?.();
      return result;
    };
    for (const key of Reflect.getMetadataKeys(method) as (string | symbol)[]) {
      Reflect.defineMetadata(key, Reflect.getMetadata(key, method), watched);
    }
    return Object.defineProperty(watched, 'name', { value: method.name });
  }
}

/**
 * Nest's creator waits for the last value of a stream, and shows its filters only what is thrown before that.
 * Here a stream is sent value by value, and the filters see what it fails with, whenever that is.
 */
function streaming(creator: ExternalContextCreator): ExternalContextCreator {
  type ExceptionsHandler = { next(exception: unknown, host: ExecutionContextHost): unknown };
  return Object.assign(Object.create(creator) as ExternalContextCreator, {
    transformToResult: (result: unknown) => Promise.resolve(result),
    externalErrorProxy: {
      createProxy(target: Method, handler: ExceptionsHandler, type: string) {
        return async (...args: unknown[]): Promise<unknown> => {
          const host = new ExecutionContextHost(args);
          host.setType(type);
          const handled = (error: unknown): Observable<unknown> =>
            defer(() => from(Promise.resolve(handler.next(error, host)))).pipe(
              switchMap((value) => (isObservable(value) ? value : of(value))),
            );
          try {
            const result = await target(...args);
            if (!isObservable(result)) return result;
            return result.pipe(catchError(handled));
          } catch (error) {
            return handler.next(error, host);
          }
        };
      },
    },
  });
}
