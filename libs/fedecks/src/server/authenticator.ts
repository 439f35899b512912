import { type Term } from '../wire/index.js';

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** What an authenticator signs into a token: JSON, and short, since token and device id share a header of 1,023 bytes. */
export type Claims = Readonly<Record<string, Json>>;

/** The credentials of a login: everything the device sent besides its id. */
export type Credentials = Readonly<Record<string, Term>>;

/** A yes or no, or a yes with claims to sign into the device's token. */
export type AuthenticationResult = boolean | { readonly claims: Claims };

/** Checks the credentials of a login. */
export interface DeviceAuthenticator {
  /**
   * Asked only at a login with credentials, never when a token is presented. Where it throws, or takes longer
   * than `upgradeTimeoutMs`, the device is refused with 503 and will try again.
   * @param device `signal` aborts when the answer is no longer needed: skip work that has not started.
   */
  authenticate(
    credentials: Credentials,
    device: { readonly id: string; readonly remoteAddress: string; readonly signal: AbortSignal },
  ): AuthenticationResult | Promise<AuthenticationResult>;
}
