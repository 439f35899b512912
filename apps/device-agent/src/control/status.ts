import { type OutboxDetails } from '@fedecks/nest/client';
import { type Settings } from '../settings/settings.js';

/** How a running agent is, as its control socket tells it: JSON, times in ISO 8601. */
export interface AgentStatus {
  readonly state: 'unregistered' | 'connection_scheduled' | 'connecting' | 'connected' | 'stopped';
  /** When it came into this state. */
  readonly since: string;
  readonly deviceId: string;
  /** The one that was asked last, or will be first. */
  readonly url: string;
  /** The failure told last, in words; it stays when the connection has recovered. */
  readonly lastError: string | null;
  /** In the state `connection_scheduled`. */
  readonly nextAttemptAt: string | null;
  /** Whether it can connect without a login. */
  readonly tokenHeld: boolean;
  /** Null if there is no token, or if it does not tell. */
  readonly tokenExpiresAt: string | null;
  /** Whether the cloud has refused it, as expired or revoked: only a login helps. */
  readonly tokenRefused: boolean;
  /** Another machine uses the device id, as the cloud says or as replaced connections show; null if not within 2 hours. */
  readonly clone: {
    /** When that was noticed first, and last. */
    readonly since: string;
    readonly at: string;
  } | null;
  /** The newest connection that was lost; null if none was. */
  readonly lastLoss: {
    readonly at: string;
    /** How many messages were written to it that the cloud may not have read. */
    readonly unconfirmed: number;
  } | null;
  /** The login with FEDECKS_LOGIN_FILE, FEDECKS_CLAIM or FEDECKS_CLAIM_FILE, while one is needed. */
  readonly fileLogin: {
    /** The path of the file, or `FEDECKS_CLAIM`. */
    readonly file: string;
    /** Null while it is being tried. */
    readonly nextTryAt: string | null;
    readonly lastError: string | null;
  } | null;
  /** With FEDECKS_OUTBOX; null without. */
  readonly outbox: OutboxDetails | null;
  /** Those in force. */
  readonly settings: Settings;
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
}
