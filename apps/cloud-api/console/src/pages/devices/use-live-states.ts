import { useRef } from 'preact/hooks';
import { useDelayed } from '../../hooks/use-loaded.js';
import { type Pages } from '../../hooks/use-pages.js';
import { type LiveEvent, WRITTEN_MS } from '../../live/live.js';
import { useLive } from '../../live/use-live.js';
import { type Device } from '../../types.js';
import { cloudNow } from '../../ui/clock.js';

type Change = Pick<Device, 'state' | 'stateSince' | 'offlineCause'>;

/** Shows in a list of devices which ones come and go. */
export function useLiveStates(pages: Pages<Device>): void {
  const changes = useRef(new Map<string, Change>());
  // All at once: when a network fails, thousands go.
  const applySoon = useDelayed(() => {
    const { current } = changes;
    changes.current = new Map();
    pages.change((device) => ({ ...device, ...current.get(device.id) }));
  }, WRITTEN_MS);
  useLive('?fleet', {
    refresh: () => void pages.reload(),
    onHistory: () => undefined,
    onEvent: (event) => {
      const change = changeOf(event);
      if (!change) return;
      const { deviceId } = event.data as { readonly deviceId: string };
      changes.current.set(deviceId, change);
      applySoon();
    },
  });
}

function changeOf({ event, data }: LiveEvent): Change | undefined {
  const stateSince = new Date(cloudNow()).toISOString();
  if (event === 'connected') return { state: 'online', stateSince, offlineCause: null };
  if (event !== 'disconnected') return undefined;
  const { cause } = data as { readonly cause: string };
  return { state: 'offline', stateSince, offlineCause: cause };
}
