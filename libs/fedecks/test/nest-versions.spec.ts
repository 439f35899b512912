/** What the app says at start when its Nest is not as this library expects. */
import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import * as constants from '@nestjs/common/constants.js';
import { DiscoveryModule, DiscoveryService, ExternalContextCreator } from '@nestjs/core';
import { ExternalErrorProxy } from '@nestjs/core/helpers/external-proxy.js';
import { Test, type TestingModule } from '@nestjs/testing';
import { jest } from '@jest/globals';
import { checkNest } from '../src/handlers/nest-internals.js';
import { startApp } from './support/app.js';
import { read } from './support/documents.js';

const { version } = JSON.parse(read('node_modules/@nestjs/core/package.json')) as { version: string };

@Injectable()
class Greenhouse {}

let app: TestingModule;
let creator: ExternalContextCreator;
let wrapper: object;

beforeAll(async () => {
  app = await Test.createTestingModule({ imports: [DiscoveryModule], providers: [Greenhouse] }).compile();
  creator = app.get(ExternalContextCreator);
  wrapper = app
    .get(DiscoveryService)
    .getProviders()
    .find(({ token }) => token === Greenhouse)!;
});

afterAll(() => app.close());

/** The object with one member hidden; the object itself stays. */
function without(object: object, path: string): object {
  const [key = '', ...rest] = path.split('.');
  const value = rest.length > 0 ? without(Reflect.get(object, key) as object, rest.join('.')) : undefined;
  return Object.create(object, { [key]: { value } }) as object;
}

/** The creator, with one member missing from what it makes of an exception filter. */
function withFilters(alter: (filters: object) => object): ExternalContextCreator {
  const { filtersContextCreator } = creator as unknown as {
    filtersContextCreator: { create(...args: unknown[]): object };
  };
  const create = (...args: unknown[]): object => alter(filtersContextCreator.create(...args));
  return Object.create(creator, {
    filtersContextCreator: {
      value: Object.assign(Object.create(filtersContextCreator) as object, { create }),
    },
  }) as ExternalContextCreator;
}

describe('checkNest', () => {
  it('accepts the installed Nest', () => {
    expect(() => checkNest(creator, wrapper)).not.toThrow();
  });

  it.each([
    'getContextModuleKey',
    'getParamValue',
    'transformToResult',
    'interceptorsConsumer',
    'interceptorsConsumer.intercept',
    'externalErrorProxy.createProxy',
    'filtersContextCreator.create',
    'filtersContextCreator.getGlobalMetadata',
    'modulesContainer.entries',
  ])('names a missing member of the creator: %s', (path) => {
    const altered = without(creator, path) as ExternalContextCreator;
    expect(() => checkNest(altered, wrapper)).toThrow(`ExternalContextCreator: ${path}`);
  });

  it.each([
    ['filters', (handler: object) => without(handler, 'filters')],
    ['filters.0.func', (handler: object) => without(handler, 'filters.0.func')],
    ['filters.0.exceptionMetatypes', (handler: object) => without(handler, 'filters.0.exceptionMetatypes')],
  ])('names a missing member of exception filters: %s', (path, alter) => {
    expect(() => checkNest(withFilters(alter), wrapper)).toThrow(`ExceptionsHandler: ${path}`);
  });

  it.each([
    'id',
    'instance',
    'isAlias',
    'isDependencyTreeStatic',
    'isNotMetatype',
    'isTransient',
    'token',
    'host',
    'host.controllers',
    'host.injectables.has',
  ])('names a missing member of what Nest keeps of a provider: %s', (path) => {
    expect(() => checkNest(creator, without(wrapper, path))).toThrow(`InstanceWrapper: ${path}`);
  });

  it.each([
    'CUSTOM_ROUTE_ARGS_METADATA',
    'ENTRY_PROVIDER_WATERMARK',
    'EXCEPTION_FILTERS_METADATA',
    'GUARDS_METADATA',
    'INTERCEPTORS_METADATA',
    'PIPES_METADATA',
    'ROUTE_ARGS_METADATA',
  ])('names a missing constant: %s', (name) => {
    expect(() => checkNest(creator, wrapper, { ...constants, [name]: undefined })).toThrow(
      `@nestjs/common/constants.js: ${name}`,
    );
  });

  it('says which versions work: those of package.json', () => {
    const { peerDependencies } = JSON.parse(read('libs/fedecks/package.json')) as {
      peerDependencies: Record<string, string>;
    };
    const majors = [...peerDependencies['@nestjs/core']!.matchAll(/\^(\d+)/g)].map(([, major]) => major);
    expect(() => checkNest(creator, undefined)).toThrow(
      `Install @nestjs/core and @nestjs/common ${majors.slice(0, -1).join(', ')} or ${majors.at(-1)}`,
    );
  });
});

describe('an app on a Nest without a member', () => {
  const createProxy = Object.getOwnPropertyDescriptor(ExternalErrorProxy.prototype, 'createProxy')!;

  afterEach(() => {
    Object.defineProperty(ExternalErrorProxy.prototype, 'createProxy', createProxy);
    jest.restoreAllMocks();
  });

  it('does not start, and says which member, which version, and what to install', async () => {
    Reflect.deleteProperty(ExternalErrorProxy.prototype, 'createProxy');
    await expect(startApp({})).rejects.toThrow(
      `@nestjs/core ${version} lacks members that @fedecks/nest needs: ExternalContextCreator: externalErrorProxy.createProxy. ` +
        'Install @nestjs/core and @nestjs/common 10, 11 or 12, or a newer @fedecks/nest.',
    );
  });

  it('does not start if the list of providers lacks it', async () => {
    const found = app.get(DiscoveryService).getProviders();
    jest
      .spyOn(DiscoveryService.prototype, 'getProviders')
      .mockReturnValue(found.map((each) => without(each, 'isAlias') as (typeof found)[number]));
    await expect(startApp({})).rejects.toThrow('InstanceWrapper: isAlias.');
  });
});
