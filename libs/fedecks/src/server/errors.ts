import { FedecksError } from '../wire/index.js';

/** A message that cannot be pushed: the device would take it for a new token (PROTOCOL.md §2). */
export class ReservedMessageError extends FedecksError {
  override readonly name = 'ReservedMessageError';

  constructor() {
    super(
      'reserved-message',
      "A pair whose first element is the charlist 'token' would overwrite the device's token. " +
        "Send the name as a string: tuple('token', ...).",
    );
  }
}
