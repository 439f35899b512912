import { BadRequestException, Injectable, type PipeTransform } from '@nestjs/common';
import { type Term } from '@fedecks/nest/wire';
import { getMetadataStorage } from 'class-validator';
import { TelemetryDto } from './telemetry.dto.js';

/** No field holds more elements. */
const MAX_ELEMENTS = 3;

/**
 * Takes from a device's map the fields of `TelemetryDto` alone, and only numbers and short lists of them. It stands
 * before `ValidationPipe`, which copies and searches all it is given, however large and deep.
 */
@Injectable()
export class TelemetryFields implements PipeTransform<Term, Record<string, unknown>> {
  private readonly names = new Set(
    getMetadataStorage()
      .getTargetValidationMetadatas(TelemetryDto, '', false, false)
      .map(({ propertyName }) => propertyName),
  );

  /** @throws {BadRequestException} when it is no map of strings, or a field holds more than a short list. */
  transform(payload: Term): Record<string, unknown> {
    if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) throw notAMap();
    const map = payload as Readonly<Record<string, unknown>>;
    const fields: Record<string, unknown> = {};
    for (const name of this.names) {
      if (!Object.hasOwn(map, name)) continue;
      const value = map[name];
      if (!isFlat(value))
        throw new BadRequestException(
          `${name} must be a number, or a list of at most ${MAX_ELEMENTS} values`,
        );
      fields[name] = value;
    }
    return fields;
  }
}

function isFlat(value: unknown): boolean {
  if (Array.isArray(value)) return value.length <= MAX_ELEMENTS && value.every((each) => !isObject(each));
  return !isObject(value);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function notAMap(): BadRequestException {
  return new BadRequestException('telemetry must be a map of fields');
}
