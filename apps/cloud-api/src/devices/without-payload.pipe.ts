import { Injectable, type PipeTransform } from '@nestjs/common';

/**
 * Takes the payload out of a body. It stands before `ValidationPipe`, which removes keys like `constructor` from all it is
 * given, and fails where that is nested deeply. The payload is for the device.
 */
@Injectable()
export class WithoutPayload implements PipeTransform<unknown, unknown> {
  transform(body: unknown): unknown {
    if (typeof body !== 'object' || body === null) return body;
    const { payload: _payload, ...rest } = body as Readonly<Record<string, unknown>>;
    return rest;
  }
}
