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
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
}
