import { CLOSE } from '../wire/internal.js';
import { type DisconnectCause } from './device.js';

/** Ends whose close code comes from the device, a handler's `stop()` or the violation, or that have none. */
type EndWithOtherCode = 'closed_by_device' | 'connection_lost' | 'stopped' | 'protocol_error';

/** How the cloud ends a connection by its own decision. */
export type End = Exclude<DisconnectCause['type'], EndWithOtherCode>;

/** The close code and the reason for the device (PROTOCOL.md §5). */
export const ENDS: Readonly<Record<End, { readonly code: number; readonly reason: string }>> = {
  idle_timeout: { code: CLOSE.normal, reason: '' },
  disconnected: { code: CLOSE.normal, reason: '' },
  message_too_big: { code: CLOSE.messageTooBig, reason: '' },
  draining: { code: CLOSE.draining, reason: 'draining' },
  slow_consumer: { code: CLOSE.slowConsumer, reason: 'slow consumer' },
  rate_limited: { code: CLOSE.rateLimited, reason: 'rate limited' },
  revoked: { code: CLOSE.revoked, reason: 'revoked' },
  replaced: { code: CLOSE.replaced, reason: 'replaced' },
};
