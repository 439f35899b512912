import { useState } from 'preact/hooks';
import { type LiveError, type LiveEvent, type LiveHistory } from '../../live/live.js';
import { type FleetEvent } from '../../types.js';
import { cloudNow } from '../../ui/clock.js';
import { DeviceLink } from '../../ui/device-link.js';
import { causeText } from '../../ui/state.js';
import { Time } from '../../ui/time.js';

const MAX_EVENTS = 50;

/** The newest errors of this node, the oldest first. */
export function useErrors() {
  const [items, setItems] = useState<readonly LiveError[]>([]);
  const onHistory = ({ errors }: LiveHistory): void => setItems(errors);
  const onEvent = ({ event, data }: LiveEvent): void => {
    if (event !== 'error') return;
    const error = { at: new Date(cloudNow()).toISOString(), ...(data as Omit<LiveError, 'at'>) };
    setItems((before) => [...before, error].slice(-MAX_EVENTS));
  };
  return { items, onHistory, onEvent };
}

interface Props {
  readonly events: readonly FleetEvent[];
  readonly errors: readonly LiveError[];
}

/** What happened, the newest first. */
export function EventList({ events, errors }: Props) {
  const shown = [...events, ...errors]
    .sort((one, other) => Date.parse(other.at) - Date.parse(one.at))
    .slice(0, MAX_EVENTS);
  return (
    <section class="card">
      <h2>Newest events</h2>
      {shown.length === 0 && (
        <p class="quiet">Nothing has happened yet: devices that come and go appear here.</p>
      )}
      <ul class="events" aria-label="Newest events" tabIndex={0}>
        {shown.map((event, index) => (
          <li key={`${event.at} ${index}`}>
            <Time at={event.at} /> {event.deviceId !== null && <DeviceLink id={event.deviceId} />}{' '}
            {textOf(event)}
          </li>
        ))}
      </ul>
    </section>
  );
}

function textOf(event: FleetEvent | LiveError): string {
  if (!('cause' in event)) return `had a problem: ${causeText(event.type)}`;
  return event.type === 'connected' ? 'connected' : `disconnected: ${causeText(event.cause)}`;
}
