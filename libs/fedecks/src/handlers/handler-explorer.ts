import { Inject, Injectable } from '@nestjs/common';
import {
  ApplicationConfig,
  ContextIdFactory,
  DiscoveryService,
  ExternalContextCreator,
  MetadataScanner,
  ModuleRef,
} from '@nestjs/core';
import { endpointsOf, type HandlerKind, handlerKindsOf, patternOf, type Peer } from './decorators.js';
import { EnhancedCalls, enhancerClasses, hasScopedGlobals, isEnhanced } from './enhanced-call.js';
import { InvalidHandlerError } from './errors.js';
import { directCall, type HandlerCall, type Method } from './handler-call.js';
import { checkNest, type ProviderWrapper } from './nest-internals.js';
import { methodsFor, PEER } from './peers.js';
import { type Handler } from './router.js';

/** A handler, and the endpoints its class has chosen by their paths. */
export interface FoundHandler extends Handler {
  readonly endpoints: readonly string[];
}

/** A decorated method of a provider or controller. */
interface FoundMethod {
  readonly wrapper: ProviderWrapper;
  readonly instance: object;
  readonly type: { readonly name: string };
  readonly method: Method;
  readonly key: string;
  readonly name: string;
  readonly kind: HandlerKind;
}

/** Finds, at boot, the decorated methods of all providers and controllers of the app that serve one peer. */
@Injectable()
export class HandlerExplorer {
  private readonly enhanced: EnhancedCalls;

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly moduleRef: ModuleRef,
    private readonly config: ApplicationConfig,
    private readonly creator: ExternalContextCreator,
    @Inject(PEER) private readonly peer: Peer,
  ) {
    this.enhanced = new EnhancedCalls(creator);
  }

  /**
   * In the order of modules and providers, and within a class of declaration.
   * @throws {InvalidHandlerError} when a handler cannot work as its class is decorated or provided.
   * @throws {Error} when this version of Nest lacks what finding and calling them takes.
   */
  explore(): FoundHandler[] {
    const providers = this.discovery.getProviders();
    checkNest(this.creator, providers.find(({ instance }) => instance === this) ?? providers[0]);
    const markers = providers.filter(({ token }) => token === PEER);
    const peers = new Set(markers.map(({ instance }) => instance as Peer));
    const methods = this.methodsIn([...providers, ...this.discovery.getControllers()]);
    return methodsFor(this.peer, methods, peers).map(
      ({ wrapper, instance, type, method, key, name, kind }) => ({
        name,
        kind,
        call: this.call(wrapper, instance, method, key, patternOf(kind)),
        endpoints: endpointsOf(type),
      }),
    );
  }

  private methodsIn(wrappers: readonly ProviderWrapper[]): FoundMethod[] {
    const found: FoundMethod[] = [];
    const seen = new Set<object>();
    // Class providers first: Nest knows more about them than about factory results.
    for (const wrapper of [...wrappers.filter(isMade), ...wrappers.filter((each) => !isMade(each))]) {
      const instance: unknown = wrapper.instance;
      // A provider under a second token is still one instance, and handles a message once.
      if (wrapper.isAlias || typeof instance !== 'object' || instance === null || seen.has(instance))
        continue;
      seen.add(instance);
      found.push(...this.methodsOf(wrapper, instance));
    }
    return found;
  }

  private methodsOf(wrapper: ProviderWrapper, instance: object): FoundMethod[] {
    const prototype = Object.getPrototypeOf(instance) as object | null;
    if (!prototype || prototype === Object.prototype) return [];
    const type = instance.constructor;
    return this.scanner.getAllMethodNames(prototype).flatMap((key) => {
      const method = (prototype as Record<string, Method>)[key];
      const kinds = method && handlerKindsOf(method);
      if (!method || !kinds) return [];
      const name = `${type.name}.${key}`;
      return kinds.map((kind) => ({ wrapper, instance, type, method, key, name, kind }));
    });
  }

  private call(
    wrapper: ProviderWrapper,
    instance: object,
    method: Method,
    name: string,
    pattern: string,
  ): HandlerCall {
    const type = instance.constructor;
    const enhanced = isEnhanced(type, method, name, this.config);
    this.checkEnhancers(wrapper, instance, method, name);
    if (wrapper.isDependencyTreeStatic() && !wrapper.isTransient) {
      return enhanced
        ? this.enhanced.create(instance, method, name, pattern, wrapper.id)
        : directCall(instance, method, name);
    }
    // A request-scoped or transient provider is created per message; its REQUEST is { device, payload }.
    return async (payload, device, context) => {
      const contextId = ContextIdFactory.create();
      this.moduleRef.registerRequestByContextId({ device, payload }, contextId);
      const made = await this.moduleRef.resolve<object>(wrapper.token, contextId, { strict: false });
      const call = enhanced
        ? this.enhanced.create(made, method, name, pattern, wrapper.id, contextId)
        : directCall(made, method, name);
      return call(payload, device, context);
    };
  }

  /** Nest skips an enhancer that it has not instantiated, and a skipped guard accepts everybody. */
  private checkEnhancers(
    wrapper: ProviderWrapper,
    { constructor: type }: object,
    method: Method,
    name: string,
  ): void {
    const missing = enhancerClasses(type, method, name).find((each) => !wrapper.host?.injectables.has(each));
    if (!missing && (isMade(wrapper) || !hasScopedGlobals(this.config))) return;
    const what = missing ? missing.name : 'A request-scoped or transient enhancer of the app';
    const reason = isMade(wrapper)
      ? `Nest 10 makes no enhancers for a provider with useClass, as ${type.name} is one`
      : 'Nest makes enhancers only for a provider it makes from its class, ' +
        `and ${type.name} comes from a factory or is a value`;
    // A class under a token of its own: both names stay.
    const alias = `{ provide: ${tokenText(wrapper.token)}, useExisting: ${type.name} }`;
    const providers = wrapper.token === type ? type.name : `${type.name}, ${alias}`;
    const advice =
      `Provide ${type.name} by its class` + (isMade(wrapper) ? `: providers: [${providers}]` : '');
    const instead = missing ? `, or give an instance of ${missing.name} instead of the class.` : '.';
    throw new InvalidHandlerError(
      `${what} would not run on ${type.name}.${name}: ${reason}. ${advice}${instead}`,
    );
  }
}

/** Whether Nest instantiates the class, and not a factory or the app. */
function isMade(wrapper: ProviderWrapper): boolean {
  return !wrapper.isNotMetatype;
}

function tokenText(token: ProviderWrapper['token']): string {
  return typeof token === 'function' ? token.name : typeof token === 'string' ? `'${token}'` : String(token);
}
