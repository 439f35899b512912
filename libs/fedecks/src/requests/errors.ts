import { FedecksError, type RequestErrorCode } from '../wire/internal.js';

/** The device is connected to no node, so nothing was sent to it. */
export class DeviceOfflineError extends FedecksError {
  override readonly name = 'DeviceOfflineError';
  declare readonly code: 'offline';

  constructor(deviceId: string) {
    super('offline', `Device '${deviceId}' is not connected, so nothing was sent to it.`);
  }
}

/** The other side speaks protocol 1 only, so nothing was sent to it. */
export class NotSupportedError extends FedecksError {
  override readonly name = 'NotSupportedError';
  declare readonly code: 'not_supported';

  /** @param peer as in "the cloud", "device 'a'". */
  constructor(peer: string) {
    super(
      'not_supported',
      `${peer} speaks protocol 1 only, which has no requests, so nothing was sent. Update it to a version that speaks protocol 2.`,
    );
  }
}

/**
 * The other side has answered that there is no result:
 * - `no_handler`: no handler takes this event. Nothing was run.
 * - `invalid`: a pipe or guard refused the request, or it could not be read.
 * - `failed`: the handler failed. The text is "internal error" unless it threw an error meant for callers.
 * - `expired`: the time was up before the handler began. Nothing was run.
 * - `busy`: too many requests are open. Nothing was run.
 */
export class RequestFailedError extends FedecksError {
  override readonly name = 'RequestFailedError';
  declare readonly code: RequestErrorCode;

  constructor(
    code: RequestErrorCode,
    /** What the other side says. */
    readonly text: string,
  ) {
    super(code, `The request failed (${code})${text === '' ? '' : `: ${text}`}`);
  }
}

/** No answer came in time. The request was sent: whether it was handled is not known. */
export class RequestTimeoutError extends FedecksError {
  override readonly name = 'RequestTimeoutError';
  declare readonly code: 'timeout';

  constructor(readonly timeoutMs: number) {
    super(
      'timeout',
      `No answer came within ${timeoutMs} ms. The request was sent: whether it was handled is not known.`,
    );
  }
}

/** The connection ended before the answer came. The request was sent: whether it was handled is not known. */
export class ConnectionLostError extends FedecksError {
  override readonly name = 'ConnectionLostError';
  declare readonly code: 'connection_lost';

  constructor() {
    super(
      'connection_lost',
      'The connection ended before the answer came. The request was sent: whether it was handled is not known.',
    );
  }
}
