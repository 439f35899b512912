import { type PipeTransform } from '@nestjs/common';

/**
 * Takes what a device is to get out of a body. It stands before `Validated`, which removes keys like `constructor` from all
 * it is given, and fails where that is nested deeply. What is taken out is for the device.
 */
export class Without implements PipeTransform<unknown, unknown> {
  private readonly path: readonly string[];

  /** @param path the names that lead to the field, from the outside. */
  constructor(...path: string[]) {
    this.path = path;
  }

  transform(body: unknown): unknown {
    return without(body, this.path);
  }
}

function without(value: unknown, [name, ...inside]: readonly string[]): unknown {
  if (name === undefined || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value) || !Object.hasOwn(value, name)) return value;
  const { [name]: field, ...rest } = value as Readonly<Record<string, unknown>>;
  return inside.length === 0 ? rest : { ...rest, [name]: without(field, inside) };
}
