import { Scope, type Type } from '@nestjs/common';
import { type ModuleRef } from '@nestjs/core';
import { InvalidOptionsError } from '../options/index.js';

/**
 * Resolves an option that is a class or an object: the app's provider of that class, or the object itself.
 * @param methods the methods it must have.
 * @throws {InvalidOptionsError} when no module provides the class, when it is not a singleton, or lacks a method.
 */
export function providerOf<T extends object>(
  moduleRef: ModuleRef,
  given: Type<T> | T,
  option: string,
  methods: readonly (keyof T & string)[],
): T {
  // resolveOptions() has already checked an object.
  if (typeof given !== 'function') return given;
  const scope = scopeOf(moduleRef, given);
  if (scope === Scope.DEFAULT) {
    const found = moduleRef.get<T>(given, { strict: false });
    const missing = methods.filter((method) => typeof found[method] !== 'function');
    if (missing.length === 0) return found;
    throw new InvalidOptionsError('FedecksModule.forRoot', [
      `'${option}' names ${given.name}, which has no ${missing.map((method) => `${method}()`).join(' and no ')}: add it.`,
    ]);
  }
  throw new InvalidOptionsError('FedecksModule.forRoot', [
    scope === undefined
      ? `'${option}' names ${given.name}, which no module provides: add it to the providers of one of your modules.`
      : `'${option}' names ${given.name}, which is request-scoped or transient, or depends on such a provider. ` +
        'All upgrades share one instance: make it a singleton, and resolve scoped providers with ModuleRef.resolve().',
  ]);
}

/** Checked first: Nest 10 returns a singleton that depends on request-scoped providers with nothing injected. */
function scopeOf(moduleRef: ModuleRef, type: Type): Scope | undefined {
  try {
    return moduleRef.introspect(type).scope;
  } catch {
    return undefined;
  }
}
