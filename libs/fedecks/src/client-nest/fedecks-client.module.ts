import {
  type DynamicModule,
  Inject,
  Module,
  type ModuleMetadata,
  Optional,
  type Provider,
} from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { FedecksClient, type FedecksClientOptions } from '../client/index.js';
import { type AsyncOptions, HandlerExplorer, OptionsProvider, PEER } from '../handlers/index.js';
import { checkConfigured } from '../options/index.js';
import { ClientHandlers } from './client-handlers.js';

/** A provider of options, for `useClass` and `useExisting`. */
export interface FedecksClientOptionsFactory {
  /** Called once, while the app starts. */
  createFedecksClientOptions(): FedecksClientOptions | Promise<FedecksClientOptions>;
}

/** Where the client can be injected. */
interface Visibility {
  /** Whether every module can inject `FedecksClient`, or only those that import this one. @default true */
  readonly isGlobal?: boolean;
}

/** Options that have to be asked for: of a factory, a class, or a provider that is there already. */
export type FedecksClientAsyncOptions = AsyncOptions<FedecksClientOptions, FedecksClientOptionsFactory> &
  Visibility;

const OPTIONS = new OptionsProvider<FedecksClientOptions, keyof FedecksClientOptionsFactory>(
  'FedecksClientModule',
  'createFedecksClientOptions',
  'url, deviceId and tokenStore',
);

/**
 * A device as a Nest app: provides `FedecksClient`, starts it when the app has started, stops it when the app
 * ends (`enableShutdownHooks`), and gives what the cloud sends to `@OnMessage` handlers of any provider.
 */
@Module({})
export class FedecksClientModule {
  /** @throws {InvalidOptionsError} when it is imported as a plain class. */
  constructor(@Optional() @Inject(FedecksClient) client: FedecksClient | undefined) {
    checkConfigured('FedecksClientModule', client);
  }

  /** @throws {InvalidOptionsError} while the app starts, naming everything that is wrong with the options. */
  static forRoot(options: FedecksClientOptions & Visibility): DynamicModule {
    const providers = OPTIONS.forRoot(
      FedecksClient,
      options,
      ({ isGlobal, ...ofClient }) => new FedecksClient(ofClient),
    );
    // Without types there may be no options: that is an error while the app starts.
    return client(providers, (options as Visibility | undefined)?.isGlobal);
  }

  /** @throws {InvalidOptionsError} while the app starts, naming everything that is wrong with the options. */
  static forRootAsync(options: FedecksClientAsyncOptions): DynamicModule {
    const providers = OPTIONS.forRootAsync(FedecksClient, options, (ofClient) => new FedecksClient(ofClient));
    return client(providers, options.isGlobal, options.imports);
  }
}

function client(
  providers: Provider[],
  isGlobal = true,
  imports: ModuleMetadata['imports'] = [],
): DynamicModule {
  return {
    module: FedecksClientModule,
    global: isGlobal,
    imports: [DiscoveryModule, ...imports],
    providers: [...providers, { provide: PEER, useValue: 'cloud' }, HandlerExplorer, ClientHandlers],
    exports: [FedecksClient],
  };
}
