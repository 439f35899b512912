import {
  BadGatewayException,
  BadRequestException,
  ConflictException,
  GatewayTimeoutException,
  HttpException,
  NotImplementedException,
  PayloadTooLargeException,
  ServiceUnavailableException,
} from '@nestjs/common';
import {
  BackplaneError,
  ConnectionLostError,
  DeliveryQueueFullError,
  DeviceOfflineError,
  MessageTooLargeError,
  NotSupportedError,
  RequestFailedError,
  RequestTimeoutError,
} from '@fedecks/nest';
import { isUnreachable } from '../../database/database-errors.js';
import { ReservedMessageError, TermEncodeError } from '@fedecks/nest/wire';

/** As an HTTP status what the library throws when a message cannot be sent. Other errors stay what they are. */
export function sendErrorOf(error: unknown): unknown {
  if (error instanceof TermEncodeError || error instanceof ReservedMessageError)
    return new BadRequestException(error.message);
  if (error instanceof MessageTooLargeError) return new PayloadTooLargeException(error.message);
  if (error instanceof BackplaneError) {
    if (error.code === 'too-large') return new PayloadTooLargeException(error.message);
    return new ServiceUnavailableException(error.message);
  }
  if (error instanceof RequestFailedError)
    return new BadGatewayException({ code: error.code, text: error.text });
  if (error instanceof DeviceOfflineError || error instanceof DeliveryQueueFullError)
    return new ConflictException(outcomeOf(error));
  if (error instanceof NotSupportedError) return new NotImplementedException(outcomeOf(error));
  const isUnknown = error instanceof RequestTimeoutError || error instanceof ConnectionLostError;
  return isUnknown ? new GatewayTimeoutException(outcomeOf(error)) : error;
}

/** As {@link sendErrorOf}, of what is kept until it is handled. */
export function deliveryErrorOf(error: unknown): HttpException {
  // An option that is wrong in a way the checks of the body do not see.
  if (error instanceof RangeError) return new BadRequestException([error.message]);
  const known = sendErrorOf(error);
  if (known instanceof HttpException) return known;
  // What the driver says may name the address of the database.
  if (isUnreachable(error))
    return new ServiceUnavailableException('The database does not answer: try again later.', {
      cause: error,
    });
  const reason = error instanceof Error ? error.message : String(error);
  return new ServiceUnavailableException(`The store of deliveries has failed, try again later: ${reason}`, {
    cause: error,
  });
}

function outcomeOf({ code, message }: { readonly code: string; readonly message: string }): object {
  return { code, text: message };
}
