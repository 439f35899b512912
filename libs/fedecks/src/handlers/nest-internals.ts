import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as constants from '@nestjs/common/constants.js';
import { type DiscoveryService, type ExternalContextCreator } from '@nestjs/core';
import { type ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { type Method } from './handler-call.js';

/** What Nest keeps of a provider or controller. */
export type ProviderWrapper = ReturnType<DiscoveryService['getProviders']>[number];

export type Call = (...args: unknown[]) => Promise<unknown>;

/** The private members of Nest's creator that this library uses. */
export interface CreatorInternals {
  readonly interceptorsConsumer: {
    intercept(
      interceptors: readonly unknown[],
      args: unknown[],
      instance: object,
      callback: Method,
      next: () => Promise<unknown>,
      type: string,
    ): Promise<unknown>;
  };
  readonly filtersContextCreator: {
    create(instance: object, callback: Method, module: string): Exceptions;
    getGlobalMetadata(): readonly unknown[];
  };
  readonly externalErrorProxy: { createProxy(target: Call, exceptions: Exceptions, type: string): Call };
  readonly modulesContainer: ReadonlyMap<string, { readonly controllers: ReadonlyMap<unknown, unknown> }>;
  getParamValue(
    value: unknown,
    param: { readonly type: unknown; readonly data?: unknown },
    pipes: unknown[],
  ): Promise<unknown>;
}

/** The exception filters of one method. */
export interface Exceptions {
  readonly filters: readonly {
    readonly exceptionMetatypes: readonly (new (...args: never[]) => unknown)[];
    readonly func: (error: unknown, host: ExecutionContextHost) => unknown;
  }[];
}

/** The major versions of Nest that the tests run on. */
const SUPPORTED = '10, 11 or 12';

/** A path to each member, and its type. */
type Members = Readonly<Record<string, 'boolean' | 'function' | 'object' | 'string'>>;

const CREATOR: Members = {
  getContextModuleKey: 'function',
  getParamValue: 'function',
  transformToResult: 'function',
  'interceptorsConsumer.intercept': 'function',
  'externalErrorProxy.createProxy': 'function',
  'filtersContextCreator.create': 'function',
  'filtersContextCreator.getGlobalMetadata': 'function',
  'modulesContainer.entries': 'function',
};

const EXCEPTIONS: Members = {
  'filters.0.func': 'function',
  'filters.0.exceptionMetatypes.some': 'function',
};

const WRAPPER: Members = {
  id: 'string',
  instance: 'object',
  isAlias: 'boolean',
  isDependencyTreeStatic: 'function',
  isNotMetatype: 'boolean',
  isTransient: 'boolean',
  token: 'function',
  'host.controllers.has': 'function',
  'host.injectables.has': 'function',
};

/** An ES module cannot be loaded without its imports. In CommonJS they would be undefined. */
const CONSTANTS: Members = {
  CUSTOM_ROUTE_ARGS_METADATA: 'string',
  ENTRY_PROVIDER_WATERMARK: 'string',
  EXCEPTION_FILTERS_METADATA: 'string',
  GUARDS_METADATA: 'string',
  INTERCEPTORS_METADATA: 'string',
  PIPES_METADATA: 'string',
  ROUTE_ARGS_METADATA: 'string',
};

/**
 * Checks what this library uses of Nest beside its documented API. Without a member a guard might be skipped, or a
 * handler never be found, and nothing would report that.
 * @param wrapper of a provider that Nest made from its class.
 * @throws {Error} naming each missing member and the installed version.
 */
export function checkNest(
  creator: ExternalContextCreator,
  wrapper: unknown,
  names: object = constants,
): void {
  const missing = [
    ...missingIn(creator, CREATOR, 'ExternalContextCreator'),
    ...missingIn(wrapper, WRAPPER, 'InstanceWrapper'),
    ...missingIn(names, CONSTANTS, '@nestjs/common/constants.js'),
  ];
  // Only a creator that has all its members can be asked for filters.
  if (missing.length === 0)
    missing.push(...missingIn(exceptionsOf(creator), EXCEPTIONS, 'ExceptionsHandler'));
  if (missing.length === 0) return;
  throw new Error(
    `@nestjs/core ${installedVersion()} lacks members that @fedecks/nest needs: ${missing.join(', ')}. ` +
      `Install @nestjs/core and @nestjs/common ${SUPPORTED}, or a newer @fedecks/nest.`,
  );
}

function missingIn(object: unknown, members: Members, name: string): string[] {
  return Object.entries(members)
    .filter(([path, type]) => typeof valueAt(object, path) !== type)
    .map(([path]) => `${name}: ${path}`);
}

function valueAt(object: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (value as Partial<Record<string, unknown>> | undefined)?.[key], object);
}

/** What Nest makes of a method that has one exception filter. */
function exceptionsOf(creator: ExternalContextCreator): unknown {
  class Probe {
    catch(): void {
      // Never called.
    }
  }
  const method = (): void => undefined;
  Reflect.defineMetadata(constants.EXCEPTION_FILTERS_METADATA, [new Probe()], method);
  return (creator as unknown as CreatorInternals).filtersContextCreator.create(new Probe(), method, '');
}

/** Looked up from the app: ES modules and CommonJS have no common way to look from here. */
function installedVersion(): string {
  try {
    const [, program] = process.argv;
    const require = createRequire(program ?? join(process.cwd(), 'app.js'));
    return (require('@nestjs/core/package.json') as { readonly version: string }).version;
  } catch {
    return '(unknown version)';
  }
}
