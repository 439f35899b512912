import { type LiveError } from '../../live/live.js';
import { type DeviceDetail } from '../../types.js';
import { causeText, meaningOf, State } from '../../ui/state.js';
import { Time } from '../../ui/time.js';

interface Props {
  readonly device: DeviceDetail;
  /** The newest one, if there is one. */
  readonly error: LiveError | undefined;
}

/** Whether the device is there, since when and why. */
export function DeviceState({ device, error }: Props) {
  const { id, state, stateSince, offlineCause, lastSeen, address, agentVersion, node } = device;
  return (
    <section class="card" aria-label="State">
      <State device={device} />
      <dl>
        <dt>Since</dt>
        <dd>
          <Time at={stateSince} />
        </dd>
        {state === 'offline' && (
          <>
            <dt>Why</dt>
            <dd>
              {causeText(offlineCause)}. <span class="quiet">{meaningOf(offlineCause)}</span>
            </dd>
          </>
        )}
        {error && (
          <>
            <dt>Last problem</dt>
            <dd>
              {causeText(error.type)}, <Time at={error.at} isRelative />
            </dd>
          </>
        )}
        <dt>Last seen</dt>
        <dd>
          <Time at={lastSeen} />
        </dd>
        <dt>Id</dt>
        <dd>{id}</dd>
        <dt>Address</dt>
        <dd>{address ?? 'none'}</dd>
        <dt>Agent</dt>
        <dd>{agentVersion ?? 'unknown'}</dd>
        <dt>Node</dt>
        <dd>{node?.host ?? 'none'}</dd>
      </dl>
    </section>
  );
}
