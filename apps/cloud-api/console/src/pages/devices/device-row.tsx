import { mayDo } from '../../roles.js';
import { type Device } from '../../types.js';
import { DeviceLink } from '../../ui/device-link.js';
import { causeText, State } from '../../ui/state.js';
import { Time } from '../../ui/time.js';

/** In pixels. */
export const ROW_HEIGHT = 44;

interface Props {
  readonly device: Device;
  readonly isSelected: boolean;
  readonly onToggle: () => void;
}

/** A device in the list. */
export function DeviceRow({ device, isSelected, onToggle }: Props) {
  const { id, name, tags, agentVersion } = device;
  return (
    <div class="device-row">
      {mayDo('operator') ? (
        <input type="checkbox" aria-label={`Select ${id}`} checked={isSelected} onChange={onToggle} />
      ) : (
        <span />
      )}
      <DeviceLink id={id} class="cut">
        {name === null ? id : `${name} (${id})`}
      </DeviceLink>
      <State device={device} />
      <span class="cut quiet">
        <Since device={device} />
      </span>
      <span class="cut">
        {tags.map((tag) => (
          <span key={tag} class="tag">
            {tag}
          </span>
        ))}
      </span>
      <span class="cut quiet">{agentVersion}</span>
    </div>
  );
}

function Since({ device: { state, stateSince, offlineCause } }: { readonly device: Device }) {
  if (state === 'never_seen') return <>waits for its first login</>;
  return (
    <>
      {state === 'online' ? 'came' : `${causeText(offlineCause)},`} <Time at={stateSince} isRelative />
    </>
  );
}
