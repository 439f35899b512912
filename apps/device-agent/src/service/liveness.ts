import { type ClientEvent } from '@fedecks/nest/client-nest';

/** How long after its time something may come: a busy device is slow, and not dead. */
const GRACE_MS = 30_000;
/** The longest an attempt to connect takes: `upgradeTimeoutMs`, 60 s, and twice that after timeouts. */
const CONNECTING_MS = 120_000;

/**
 * Whether the client is alive. It reads no clock itself: times must come from a monotonic one,
 * so that setting the wall clock does not look like a hang.
 */
export class Liveness {
  /** When at the latest the next event must have come. No token, or a connection, may last for ever. */
  private overdueAtMs = Infinity;

  /** Something has happened to the client. */
  onEvent(event: ClientEvent, nowMs: number): void {
    switch (event.type) {
      case 'connection_scheduled':
        this.overdueAtMs = nowMs + event.delayMs + GRACE_MS;
        break;
      case 'connecting':
        this.overdueAtMs = nowMs + CONNECTING_MS + GRACE_MS;
        break;
      case 'connected':
      case 'unregistered':
        this.overdueAtMs = Infinity;
        break;
      case 'stopped':
        this.overdueAtMs = -Infinity;
        break;
    }
  }

  /** False when the client is stopped, or an attempt to connect has neither begun nor ended when it had to. */
  alive(nowMs: number): boolean {
    return nowMs < this.overdueAtMs;
  }
}
