import { Link } from 'wouter-preact';
import { api } from '../api.js';
import { useDelayed, useLoaded } from '../hooks/use-loaded.js';
import { useTitle } from '../hooks/use-title.js';
import { useLive } from '../live/use-live.js';
import { type Overview } from '../types.js';
import { Loading } from '../ui/loading.js';
import { NoDevices } from '../ui/no-devices.js';
import { EventList, useErrors } from './overview/events.js';
import { Flapping, LastHour, Nodes } from './overview/lists.js';
import { RatePlots, useRates } from './overview/rates.js';

const REFRESH_MS = 10_000;
/** However much happens, what is shown is loaded at most so often, in milliseconds. */
const AT_MOST_EVERY_MS = 2_000;

/** The fleet at a glance. */
export function OverviewPage() {
  useTitle('Overview');
  const loaded = useLoaded((signal) => api<Overview>('GET', 'overview', undefined, signal), [], REFRESH_MS);
  const rates = useRates();
  const errors = useErrors();
  const reloadSoon = useDelayed(loaded.reload, AT_MOST_EVERY_MS);
  useLive('?fleet', {
    refresh: loaded.reload,
    onHistory: (history) => {
      rates.onHistory(history);
      errors.onHistory(history);
    },
    onEvent: (event) => {
      rates.onEvent(event);
      errors.onEvent(event);
      if (event.event === 'connected' || event.event === 'disconnected') reloadSoon();
    },
  });
  return (
    <>
      <h1>Overview</h1>
      <Loading of={loaded}>
        {(overview) =>
          overview.devices.all === 0 ? (
            <NoDevices />
          ) : (
            <>
              <Figures devices={overview.devices} />
              <RatePlots rates={rates.items} />
              <div class="cards">
                <LastHour {...overview.lastHour} />
                <Nodes nodes={overview.nodes} />
                <Flapping devices={overview.flapping} />
                <EventList events={overview.events} errors={errors.items} />
              </div>
            </>
          )
        }
      </Loading>
    </>
  );
}

function Figures({ devices }: Pick<Overview, 'devices'>) {
  return (
    <div class="figures">
      <Figure title="Devices" value={devices.all} href="/devices" />
      <Figure title="Online" value={devices.online} href="/devices?state=online" />
      <Figure title="Offline" value={devices.offline} href="/devices?state=offline&sort=-stateSince" />
      <Figure title="Never seen" value={devices.neverSeen} href="/devices?state=never_seen" />
      <Figure title="Flapping" value={devices.flapping} href="/devices?state=flapping" />
      <Figure title="Blocked" value={devices.blocked} href="/devices?state=blocked" />
    </div>
  );
}

interface FigureProps {
  readonly title: string;
  readonly value: number;
  readonly href: string;
}

function Figure({ title, value, href }: FigureProps) {
  return (
    <Link href={href} class="figure">
      <strong>{value}</strong> {title}
    </Link>
  );
}
