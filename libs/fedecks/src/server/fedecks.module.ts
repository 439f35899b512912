import {
  type DynamicModule,
  Global,
  Inject,
  Module,
  type ModuleMetadata,
  Optional,
  type Provider,
  type Type,
} from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { HandlerExplorer, PEER } from '../handlers/index.js';
import { checkConfigured, checkFactory, checkGiven, checkSource } from '../options/index.js';
import {
  FEDECKS_OPTIONS,
  type FedecksOptions,
  type ResolvedOptions,
  resolveOptions,
} from './fedecks-options.js';
import { Endpoints } from './endpoints.js';
import { FedecksGateway } from './fedecks.gateway.js';
import { Fedecks } from './fedecks.service.js';
import { FedecksHealthIndicator } from './health-indicator.js';
import { PhoenixTokens } from './phoenix-token.js';
import { Revocations } from './revocations.js';
import { Tokens } from './token.js';
import { FedecksAuthGuard } from './upgrade/auth.guard.js';
import { UpgradeDispatcher } from './upgrade/dispatcher.js';

/** A provider of options, for `useClass` and `useExisting`. */
export interface FedecksOptionsFactory {
  /** Called once, while the app starts. */
  createFedecksOptions(): FedecksOptions | Promise<FedecksOptions>;
}

/** Options that have to be asked for: of a factory, a class, or a provider that is there already. */
export type FedecksAsyncOptions = Pick<ModuleMetadata, 'imports'> &
  (
    | {
        // What `inject` names is what the factory receives: Nest's own types cannot relate the two.
        // eslint-disable-next-line @typescript-eslint/no-explicit-any
        readonly useFactory: (...injected: any[]) => FedecksOptions | Promise<FedecksOptions>;
        readonly inject?: readonly NonNullable<Extract<Provider, { inject?: unknown }>['inject']>[number][];
      }
    | { readonly useClass: Type<FedecksOptionsFactory> }
    | { readonly useExisting: Type<FedecksOptionsFactory> }
  );

/** What all endpoints of an app share. */
@Global()
@Module({
  imports: [DiscoveryModule],
  providers: [
    { provide: PEER, useValue: 'devices' },
    Endpoints,
    Fedecks,
    FedecksHealthIndicator,
    HandlerExplorer,
    UpgradeDispatcher,
  ],
  exports: [Endpoints, Fedecks, FedecksHealthIndicator, HandlerExplorer, UpgradeDispatcher],
})
class FedecksCoreModule {}

/** Wires the cloud half into Nest. Import it once for each endpoint; `Fedecks` can then be injected anywhere. */
@Module({})
export class FedecksModule {
  /** @throws {InvalidOptionsError} when it is imported as a plain class. */
  constructor(@Optional() @Inject(FEDECKS_OPTIONS) options: ResolvedOptions | undefined) {
    checkConfigured('FedecksModule', options);
  }

  /** @throws {InvalidOptionsError} while the app starts, naming everything that is wrong with the options. */
  static forRoot(options: FedecksOptions): DynamicModule {
    return endpoint([
      {
        provide: FEDECKS_OPTIONS,
        useFactory: () =>
          resolve(options, 'forRoot', 'give it an object with at least secrets and authenticator'),
      },
    ]);
  }

  /** @throws {InvalidOptionsError} while the app starts, naming everything that is wrong with the options. */
  static forRootAsync(options: FedecksAsyncOptions): DynamicModule {
    checkSource('FedecksModule.forRootAsync', options, 'createFedecksOptions');
    const { imports = [], ...asked } = options;
    const resolved = async (
      given: FedecksOptions | Promise<FedecksOptions>,
      from: string,
    ): Promise<ResolvedOptions> =>
      resolve(await given, 'forRootAsync', `return an object with options from ${from}`);
    if ('useFactory' in asked) {
      const { useFactory, inject = [] } = asked;
      const provider: Provider = {
        provide: FEDECKS_OPTIONS,
        inject: [...inject],
        useFactory: (...injected: unknown[]) => resolved(useFactory(...injected), "the 'useFactory'"),
      };
      return endpoint([provider], imports);
    }
    const source = 'useClass' in asked ? asked.useClass : asked.useExisting;
    const provider: Provider = {
      provide: FEDECKS_OPTIONS,
      inject: [source],
      useFactory: (factory: FedecksOptionsFactory) => {
        checkFactory('FedecksModule.forRootAsync', factory, 'createFedecksOptions');
        return resolved(factory.createFedecksOptions(), 'createFedecksOptions()');
      },
    };
    return endpoint('useClass' in asked ? [source, provider] : [provider], imports);
  }
}

/** @param remedy what to do if there are none, as a clause. */
function resolve(given: FedecksOptions, method: string, remedy: string): ResolvedOptions {
  checkGiven(`FedecksModule.${method}`, given, remedy);
  return resolveOptions(given);
}

/** Tells apart the modules of several endpoints: Nest 10 takes dynamic modules of the same text for one. */
const ENDPOINT_NUMBER = 'FEDECKS_ENDPOINT_NUMBER';
let endpoints = 0;

function endpoint(options: Provider[], imports: ModuleMetadata['imports'] = []): DynamicModule {
  return {
    module: FedecksModule,
    imports: [FedecksCoreModule, ...imports],
    providers: [
      { provide: ENDPOINT_NUMBER, useValue: ++endpoints },
      ...options,
      { provide: Tokens, inject: [FEDECKS_OPTIONS], useFactory: tokens },
      {
        provide: Revocations,
        inject: [FEDECKS_OPTIONS, Tokens],
        useFactory: ({ phoenix, tokenExpiryMs, upgradeTimeoutMs }: ResolvedOptions, tokens: Tokens) =>
          // How long a token of Phoenix lives is written in it, and nowhere else.
          new Revocations(phoenix ? Infinity : tokenExpiryMs, upgradeTimeoutMs, tokens),
      },
      FedecksAuthGuard,
      FedecksGateway,
    ],
  };
}

function tokens({ secrets, tokenExpiryMs, phoenix }: ResolvedOptions): Tokens {
  return new Tokens(secrets, tokenExpiryMs, phoenix && new PhoenixTokens(phoenix, tokenExpiryMs));
}
