import { type InjectionToken, type ModuleMetadata, type Provider, type Type } from '@nestjs/common';
import { checkFactory, checkGiven, checkSource } from '../options/index.js';

/** The argument of `forRootAsync`: a function, a class that Nest instantiates, or an existing provider. */
export type AsyncOptions<Options, Factory> = Pick<ModuleMetadata, 'imports'> &
  (
    | {
        // The factory receives the providers of `inject`: TypeScript cannot relate the two.
        // eslint-disable-next-line @typescript-eslint/no-explicit-any
        readonly useFactory: (...injected: any[]) => Options | Promise<Options>;
        readonly inject?: readonly NonNullable<Extract<Provider, { inject?: unknown }>['inject']>[number][];
      }
    | { readonly useClass: Type<Factory> }
    | { readonly useExisting: Type<Factory> }
  );

/**
 * Creates the providers for `forRoot` and `forRootAsync` of a module. Nest's `ConfigurableModuleBuilder` does not check its
 * argument, and provides the options as values, which Nest 10 serializes.
 */
export class OptionsProvider<Options extends object, Method extends string> {
  /**
   * @param module the name of the module's class: errors begin with it.
   * @param method the method of a class that returns options.
   * @param required the names of the required options, for an error.
   */
  constructor(
    private readonly module: string,
    private readonly method: Method,
    private readonly required: string,
  ) {}

  /** @param resolve makes from the options what is provided. */
  forRoot<Given extends Options>(
    provide: InjectionToken,
    given: Given,
    resolve: (options: Given) => unknown,
  ): Provider[] {
    const remedy = `pass an object with at least ${this.required}`;
    return [{ provide, useFactory: () => this.checked(given, 'forRoot', remedy, resolve) }];
  }

  /**
   * @param resolve makes from the options what is provided.
   * @throws {InvalidOptionsError} when `source` names no source of options.
   */
  forRootAsync(
    provide: InjectionToken,
    source: AsyncOptions<Options, Record<Method, () => Options | Promise<Options>>>,
    resolve: (options: Options) => unknown,
  ): Provider[] {
    const subject = `${this.module}.forRootAsync`;
    checkSource(subject, source, this.method);
    const checked = async (given: Options | Promise<Options>, from: string): Promise<unknown> =>
      this.checked(await given, 'forRootAsync', `return an object with options from ${from}`, resolve);
    if ('useFactory' in source) {
      const { useFactory, inject = [] } = source;
      const called = (...injected: unknown[]) => checked(useFactory(...injected), "the 'useFactory'");
      return [{ provide, inject: [...inject], useFactory: called }];
    }
    const type = 'useClass' in source ? source.useClass : source.useExisting;
    const called = (factory: Record<Method, () => Options | Promise<Options>>) => {
      checkFactory(subject, factory, this.method);
      return checked(factory[this.method](), `${this.method}()`);
    };
    const provider: Provider = { provide, inject: [type], useFactory: called };
    return 'useClass' in source ? [type, provider] : [provider];
  }

  private checked<Given extends Options>(
    given: Given,
    where: string,
    remedy: string,
    resolve: (options: Given) => unknown,
  ): unknown {
    checkGiven(`${this.module}.${where}`, given, remedy);
    return resolve(given);
  }
}
