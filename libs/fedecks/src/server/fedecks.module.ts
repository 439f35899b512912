import {
  type DynamicModule,
  Global,
  Inject,
  Module,
  type ModuleMetadata,
  Optional,
  type Provider,
} from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { type AsyncOptions, HandlerExplorer, OptionsProvider, PEER } from '../handlers/index.js';
import { checkConfigured } from '../options/index.js';
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

/** Options from a factory, a class, or an existing provider. */
export type FedecksAsyncOptions = AsyncOptions<FedecksOptions, FedecksOptionsFactory>;

const OPTIONS = new OptionsProvider<FedecksOptions, keyof FedecksOptionsFactory>(
  'FedecksModule',
  'createFedecksOptions',
  'secrets and authenticator',
);

/** The providers that all endpoints of an app share. */
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

/** The cloud as a Nest module. Import it once per endpoint; then inject `Fedecks` anywhere. */
@Module({})
export class FedecksModule {
  /** @throws {InvalidOptionsError} when it is imported without `forRoot` or `forRootAsync`. */
  constructor(@Optional() @Inject(FEDECKS_OPTIONS) options: ResolvedOptions | undefined) {
    checkConfigured('FedecksModule', options);
  }

  /** @throws {InvalidOptionsError} while the app starts, with every problem of the options. */
  static forRoot(options: FedecksOptions): DynamicModule {
    return endpoint(OPTIONS.forRoot(FEDECKS_OPTIONS, options, resolveOptions));
  }

  /** @throws {InvalidOptionsError} while the app starts, with every problem of the options. */
  static forRootAsync(options: FedecksAsyncOptions): DynamicModule {
    const providers = OPTIONS.forRootAsync(FEDECKS_OPTIONS, options, resolveOptions);
    return endpoint(providers, options.imports);
  }
}

/** Distinguishes the modules of several endpoints: Nest 10 merges dynamic modules with equal metadata. */
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
          // The lifetime of a Phoenix token is known only from the token.
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
