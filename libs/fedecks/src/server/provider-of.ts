import { Scope, type Type } from '@nestjs/common';
import { type ModuleRef } from '@nestjs/core';
import { InvalidOptionsError } from '../options/index.js';

/**
 * An object an option names: the app's provider of that class, or the object itself.
 * @param methods what it must have.
 * @throws {InvalidOptionsError} when no module of the app provides the class, or not as a singleton, or without them.
 */
export function providerOf<T extends object>(
  moduleRef: ModuleRef,
  given: Type<T> | T,
  option: string,
  methods: readonly (keyof T & string)[],
): T {
  // Of an object that is on the spot: it has been looked at with the other options.
  if (typeof given !== 'function') return given;
  const scope = scopeOf(moduleRef, given);
  if (scope === Scope.DEFAULT) {
    const found = moduleRef.get<T>(given, { strict: false });
    const missing = methods.filter((method) => typeof found[method] !== 'function');
    if (missing.length === 0) return found;
    throw new InvalidOptionsError('FedecksModule.forRoot', [
      `'${option}' names ${given.name}, which has no method ${missing.join(', and no ')}.`,
    ]);
  }
  throw new InvalidOptionsError('FedecksModule.forRoot', [
    scope === undefined
      ? `'${option}' names ${given.name}, which no module provides: add it to the providers of one of your modules.`
      : `'${option}' names ${given.name}, which is request-scoped or transient, or injects what is: all upgrades ` +
        'share one. Make it a singleton, and let it resolve what it needs anew with ModuleRef.resolve().',
  ]);
}

/** Asked for first: Nest 10 hands out a singleton that injects what is request-scoped, and has injected nothing. */
function scopeOf(moduleRef: ModuleRef, type: Type): Scope | undefined {
  try {
    return moduleRef.introspect(type).scope;
  } catch {
    return undefined;
  }
}
