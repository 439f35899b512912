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
export function explainNatsError(
  error: unknown,
  { user, token, creds, tls }: ResolvedNatsOptions,
  greeted: boolean,
): string | undefined {
  const { code, message } = error as Partial<NodeJS.ErrnoException>;
  if (error instanceof AuthorizationError || error instanceof UserAuthenticationExpiredError) {
    if (user !== undefined) return "NATS rejects 'user' and 'pass': check both";
    if (token !== undefined) return "NATS rejects 'token': check it";
    if (creds !== undefined) return "NATS rejects 'creds': they are unknown, revoked or expired";
    return "NATS requires authentication: set 'user' and 'pass', 'token' or 'creds' of natsBackplane";
  }
  if (code?.includes('CERT') || code?.includes('SIGNATURE')) {
    const change = tls?.ca === undefined ? "set 'tls.ca' to the CA that signed it" : "check 'tls.ca'";
    return `this node does not trust the certificate of the NATS server (${code}): ${change}, and check the host in 'servers'`;
  }
  if (error instanceof ConnectionError && message?.includes("does not support 'tls'")) {
    return "the NATS server does not offer TLS: remove 'tls', or configure TLS on the server";
  }
  // With TLS 1.3 the server rejects a client certificate only after the handshake, without a message.
  if (error instanceof TimeoutError && greeted && tls) {
    return tls.cert === undefined
      ? "the NATS server stopped answering: if it requires a client certificate, set 'tls.cert' and 'tls.key'"
      : "the NATS server stopped answering: it may have rejected 'tls.cert'";
  }
  return undefined;
}
