import { type Type } from '@nestjs/common';
import { type ModuleRef } from '@nestjs/core';
import { InvalidOptionsError } from '../options/index.js';

/**
 * An object an option names: the app's provider of that class, or the object itself.
 * @throws {InvalidOptionsError} when no module of the app provides the class.
 */
export function providerOf<T extends object>(moduleRef: ModuleRef, given: Type<T> | T, option: string): T {
  if (typeof given !== 'function') return given;
  try {
    return moduleRef.get<T>(given, { strict: false });
  } catch {
    throw new InvalidOptionsError('FedecksModule.forRoot', [
      `'${option}' names ${given.name}, which no module provides: add it to the providers of one of your modules.`,
    ]);
  }
}
