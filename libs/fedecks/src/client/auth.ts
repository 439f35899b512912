import { DEVICE_ID_KEY, encodeAuthHeader, TermEncodeError, TOKEN_KEY, type Term } from '../wire/internal.js';
import { LoginFailedError } from './errors.js';

/** The credentials of a login: named terms for the cloud's authenticator. They are never stored. */
export type Credentials = Readonly<Record<string, Term>>;

/**
 * The auth header of a login (PROTOCOL.md §1).
 * @throws {LoginFailedError} if the credentials are no object or use a key of the protocol.
 * @throws {TermEncodeError} if they cannot be encoded, or are too long for a header.
 */
export function loginHeader(deviceId: string, credentials: unknown): string {
  if (typeof credentials !== 'object' || credentials === null || Array.isArray(credentials)) {
    throw new LoginFailedError(
      'invalid-credentials',
      'Credentials must be an object: { username, password }.',
    );
  }
  const reserved = [DEVICE_ID_KEY, TOKEN_KEY].find((key) => Object.hasOwn(credentials, key));
  if (reserved !== undefined) {
    throw new LoginFailedError(
      'invalid-credentials',
      `Credentials must not contain the key '${reserved}': the protocol uses it.`,
    );
  }
  return encodeAuthHeader({ [DEVICE_ID_KEY]: deviceId }, credentials);
}

/** The auth header with a token, or undefined if device id and token are together too long for it (PROTOCOL.md §1). */
export function tokenHeader(deviceId: string, token: string): string | undefined {
  try {
    return encodeAuthHeader({ [DEVICE_ID_KEY]: deviceId, [TOKEN_KEY]: token });
  } catch (error) {
    if (error instanceof TermEncodeError) return undefined;
    throw error;
  }
}
