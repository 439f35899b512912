import { useState } from 'preact/hooks';
import { api, path } from '../api.js';
import { useDelayed, useLoaded } from '../hooks/use-loaded.js';
import { useParameter } from '../hooks/use-parameter.js';
import { useTitle } from '../hooks/use-title.js';
import { type LiveError, WRITTEN_MS } from '../live/live.js';
import { useLive } from '../live/use-live.js';
import { mayDo } from '../roles.js';
import { type DeviceDetail } from '../types.js';
import { Loading } from '../ui/loading.js';
import { Tabs } from '../ui/tabs.js';
import { DeviceActions } from './device/actions.js';
import { DeviceAudit } from './device/audit.js';
import { Connections } from './device/connections.js';
import { Deliveries } from './device/deliveries.js';
import { DeviceLog } from './device/log.js';
import { type LiveMessages, useKeptMessages } from './device/live-messages.js';
import { Messages } from './device/messages.js';
import { NameAndTags } from './device/name-and-tags.js';
import { Readings } from './device/readings.js';
import { Send } from './device/send.js';
import { Settings } from './device/settings.js';
import { DeviceState } from './device/state.js';

const REFRESH_MS = 10_000;
const TABS = [
  ['messages', 'Messages'],
  ['readings', 'Readings'],
  ['connections', 'Connections'],
  ['send', 'Send'],
  ['deliveries', 'Deliveries'],
  ['settings', 'Settings'],
  ['log', 'Log'],
  ['audit', 'Audit'],
] as const;

/** One device: its state, and all that can be seen of it and done to it. */
export function DevicePage({ id }: { readonly id: string }) {
  const loaded = useLoaded(
    (signal) => api<DeviceDetail>('GET', path`devices/${id}`, undefined, signal),
    [id],
    REFRESH_MS,
  );
  const { reload } = loaded;
  useTitle(loaded.data?.name ?? id, 'Devices');
  const { error, messages } = useLiveDevice(id, reload);
  const [chosen, setTab] = useParameter('tab', 'messages');
  const tabs = TABS.filter(([name]) => name !== 'audit' || mayDo('operator'));
  const tab = tabs.find(([name]) => name === chosen)?.[0] ?? 'messages';
  return (
    <Loading of={loaded}>
      {(device) => (
        <>
          <header class="row spread">
            <h1>{device.name ?? id}</h1>
            <DeviceActions device={device} onChange={reload} />
          </header>
          <div class="cards">
            <DeviceState device={device} error={error} />
            <NameAndTags device={device} onChange={reload} />
          </div>
          <Tabs label="About the device" tabs={tabs} value={tab} onChange={setTab}>
            {tab === 'messages' && <Messages id={id} live={messages} />}
            {tab === 'readings' && <Readings id={id} />}
            {tab === 'connections' && <Connections id={id} />}
            {tab === 'send' && <Send id={id} />}
            {tab === 'deliveries' && <Deliveries id={id} />}
            {tab === 'settings' && <Settings device={device} />}
            {tab === 'log' && <DeviceLog id={id} />}
            {tab === 'audit' && <DeviceAudit id={id} />}
          </Tabs>
        </>
      )}
    </Loading>
  );
}

interface LiveDevice {
  /** The newest one that this node knows. */
  readonly error: LiveError | undefined;
  readonly messages: LiveMessages;
}

/** What the device does while the page is open. @param reload loads its state. */
function useLiveDevice(id: string, reload: () => void): LiveDevice {
  const [isPaused, setPaused] = useState(false);
  const [error, setError] = useState<LiveError>();
  const { onHistory, onEvent, ...kept } = useKeptMessages(isPaused);
  const reloadSoon = useDelayed(reload, WRITTEN_MS);
  const reopen = useLive(`?device=${encodeURIComponent(id)}`, {
    refresh: reload,
    onHistory: (history) => {
      setError(history.errors.at(-1));
      onHistory(history);
    },
    onEvent: (event) => {
      if (event.event === 'connected' || event.event === 'disconnected') reloadSoon();
      if (event.event === 'error') setError(event.data as LiveError);
      onEvent(event);
    },
  });
  const pause = (next: boolean): void => {
    setPaused(next);
    if (!next) reopen();
  };
  return { error, messages: { ...kept, isPaused, setPaused: pause, reopen } };
}
