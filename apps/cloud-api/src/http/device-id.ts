import { BadRequestException, Param, type PipeTransform } from '@nestjs/common';
import { MAX_DEVICE_ID_BYTES } from '@fedecks/nest/wire';
import { ValidateBy, type ValidationOptions } from 'class-validator';

const RULE = `must have 1 to ${MAX_DEVICE_ID_BYTES} bytes of UTF-8, without the character NUL`;

/** Whether the database can know a device of that id: Postgres has no NUL in texts. */
export function isDeviceId(value: unknown): value is string {
  if (typeof value !== 'string' || value === '' || /\0|\p{Cs}/u.test(value)) return false;
  return Buffer.byteLength(value) <= MAX_DEVICE_ID_BYTES;
}

/** A field of a body: a device id, or with `{ each: true }` several. */
export function IsDeviceId(options?: ValidationOptions): PropertyDecorator {
  const message = `$property ${options?.each ? 'must be device ids: each ' : ''}${RULE}`;
  return ValidateBy({ name: 'isDeviceId', validator: { validate: isDeviceId } }, { message, ...options });
}

/** The device id in the path, as `:id`: 400 for what no device can have. */
export function DeviceIdParam(): ParameterDecorator {
  return Param('id', new DeviceIdPipe());
}

class DeviceIdPipe implements PipeTransform<string, string> {
  transform(id: string): string {
    if (!isDeviceId(id)) throw new BadRequestException([`id ${RULE}`]);
    return id;
  }
}
