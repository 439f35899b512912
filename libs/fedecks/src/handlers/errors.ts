import { FedecksError } from '../wire/internal.js';

/** Invalid handlers or decorators. Thrown at boot; the message names the class and the fix. */
export class InvalidHandlerError extends FedecksError {
  override readonly name = 'InvalidHandlerError';

  constructor(message: string) {
    super('invalid-handler', message);
  }
}
