import {
  AuthorizationError,
  ConnectionError,
  TimeoutError,
  UserAuthenticationExpiredError,
} from '@nats-io/transport-node';
import { type ResolvedNatsOptions } from './nats-options.js';

/**
 * Why the server rejects this node, and what to change; undefined for transient failures.
 * @param greeted whether the server had sent its greeting.
 */
export function refusalOf(
  error: unknown,
  { user, token, creds, tls }: ResolvedNatsOptions,
  greeted: boolean,
): string | undefined {
  const { code, message } = error as Partial<NodeJS.ErrnoException>;
  if (error instanceof AuthorizationError || error instanceof UserAuthenticationExpiredError) {
    if (user !== undefined) return "NATS does not accept 'user' and 'pass'";
    if (token !== undefined) return "NATS does not accept 'token'";
    if (creds !== undefined)
      return "NATS does not accept 'creds': they are unknown to it, revoked or expired";
    return "NATS asks who this is: give natsBackplane 'user' and 'pass', 'token' or 'creds'";
  }
  if (code?.includes('CERT') || code?.includes('SIGNATURE')) {
    const change = tls?.ca === undefined ? "give the authority that signed it as 'tls.ca'" : "check 'tls.ca'";
    return `the certificate of the NATS server is not trusted (${code}): ${change}, and the host in 'servers'`;
  }
  if (error instanceof ConnectionError && message?.includes("does not support 'tls'")) {
    return "the NATS server offers no TLS: leave out 'tls', or have it configured there";
  }
  // With TLS 1.3 the server rejects a client certificate only after the handshake, without a message.
  if (error instanceof TimeoutError && greeted && tls) {
    return tls.cert === undefined
      ? "the NATS server went silent: if it asks for a certificate of the client, give 'tls.cert' and 'tls.key'"
      : "the NATS server went silent: it may not accept 'tls.cert'";
  }
  return undefined;
}
