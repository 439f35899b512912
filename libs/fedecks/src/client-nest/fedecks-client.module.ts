import {
  type DynamicModule,
  Inject,
  Module,
  type ModuleMetadata,
  Optional,
  type Provider,
  type Type,
} from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { FedecksClient, type FedecksClientOptions } from '../client/index.js';
import { HandlerExplorer, PEER } from '../handlers/index.js';
import { checkConfigured, checkFactory, checkGiven, checkSource } from '../options/index.js';
import { ClientHandlers } from './client-handlers.js';

/** A provider of options, for `useClass` and `useExisting`. */
export interface FedecksClientOptionsFactory {
  /** Called once, while the app starts. */
  createFedecksClientOptions(): FedecksClientOptions | Promise<FedecksClientOptions>;
}

/** Options that have to be asked for: of a factory, a class, or a provider that is there already. */
export type FedecksClientAsyncOptions = Pick<ModuleMetadata, 'imports'> &
  (
    | {
        // What `inject` names is what the factory receives: Nest's own types cannot relate the two.
        // eslint-disable-next-line @typescript-eslint/no-explicit-any
        readonly useFactory: (...injected: any[]) => FedecksClientOptions | Promise<FedecksClientOptions>;
        readonly inject?: readonly NonNullable<Extract<Provider, { inject?: unknown }>['inject']>[number][];
      }
    | { readonly useClass: Type<FedecksClientOptionsFactory> }
    | { readonly useExisting: Type<FedecksClientOptionsFactory> }
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
  static forRoot(options: FedecksClientOptions): DynamicModule {
    return client([
      {
        provide: FedecksClient,
        useFactory: () =>
          make(options, 'forRoot', 'give it an object with at least url, deviceId and tokenStore'),
      },
    ]);
  }

  /** @throws {InvalidOptionsError} while the app starts, naming everything that is wrong with the options. */
  static forRootAsync(options: FedecksClientAsyncOptions): DynamicModule {
    checkSource('FedecksClientModule.forRootAsync', options, 'createFedecksClientOptions');
    const { imports = [], ...asked } = options;
    if ('useFactory' in asked) {
      const { useFactory, inject = [] } = asked;
      const provider: Provider = {
        provide: FedecksClient,
        inject: [...inject],
        useFactory: async (...injected: unknown[]) =>
          make(
            await useFactory(...injected),
            'forRootAsync',
            "return an object with options from the 'useFactory'",
          ),
      };
      return client([provider], imports);
    }
    const source = 'useClass' in asked ? asked.useClass : asked.useExisting;
    const provider: Provider = {
      provide: FedecksClient,
      inject: [source],
      useFactory: async (factory: FedecksClientOptionsFactory) => {
        checkFactory('FedecksClientModule.forRootAsync', factory, 'createFedecksClientOptions');
        return make(
          await factory.createFedecksClientOptions(),
          'forRootAsync',
          'return an object with options from createFedecksClientOptions()',
        );
      },
    };
    return client('useClass' in asked ? [source, provider] : [provider], imports);
  }
}

/** @param remedy what to do if there are no options, as a clause. */
function make(options: FedecksClientOptions, method: string, remedy: string): FedecksClient {
  checkGiven(`FedecksClientModule.${method}`, options, remedy);
  return new FedecksClient(options);
}

function client(providers: Provider[], imports: ModuleMetadata['imports'] = []): DynamicModule {
  return {
    module: FedecksClientModule,
    global: true,
    imports: [DiscoveryModule, ...imports],
    providers: [...providers, { provide: PEER, useValue: 'cloud' }, HandlerExplorer, ClientHandlers],
    exports: [FedecksClient],
  };
}
