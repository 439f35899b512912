import { FedecksError } from '../wire/internal.js';

/** A decorator or a set of handlers that cannot work. Thrown at boot; the message says which class and how to fix it. */
export class InvalidHandlerError extends FedecksError {
  override readonly name = 'InvalidHandlerError';

  constructor(message: string) {
    super('invalid-handler', message);
  }
}
