import { type Device } from '../types.js';

const TEXTS = { online: 'Online', offline: 'Offline', never_seen: 'Never seen' } as const;

/** Whether a device is there, in words and by a sign. */
export function State({ device }: { readonly device: Pick<Device, 'state' | 'flapping' | 'blocked'> }) {
  const { state, flapping, blocked } = device;
  return (
    <span class="row">
      <span class={`state ${state}`}>{TEXTS[state]}</span>
      {flapping && <span class="state flapping">Flapping</span>}
      {blocked && <span class="state blocked">Blocked</span>}
    </span>
  );
}

/** `connection_lost` as words. */
export function causeText(cause: string | null): string {
  return cause === null ? 'unknown' : cause.replaceAll('_', ' ');
}

/** What it means that a connection has ended like this, for whoever has to find out why. */
const MEANINGS: Readonly<Record<string, string>> = {
  closed_by_device: 'Its agent was stopped, or is being updated.',
  connection_lost: 'Network or power failed: it did not say goodbye.',
  idle_timeout: 'Nothing came from it for too long: network or power failed.',
  node_lost: 'The node of the cloud it was connected to has died.',
  draining: 'The node of the cloud it was connected to has ended.',
  disconnected: 'An operator has disconnected it: it comes back by itself.',
  revoked: 'An operator has revoked or blocked it.',
  replaced: 'It has connected again, or another machine uses its id.',
  slow_consumer: 'It did not read what the cloud sent.',
  rate_limited: 'It sent too many messages.',
  message_too_big: 'It sent a message that is too large.',
};

/** One sentence; undefined where the cause says all that is known. */
export function meaningOf(cause: string | null): string | undefined {
  return cause === null ? undefined : MEANINGS[cause];
}
