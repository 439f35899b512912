import { useState } from 'preact/hooks';
import { api, path } from '../../api.js';
import { useLoaded } from '../../hooks/use-loaded.js';
import { Check } from '../../ui/fields.js';
import { Loading } from '../../ui/loading.js';

const REFRESH_MS = 3_000;
const LINES = 200;

/** The last lines of the agent's log, asked for again and again. */
export function DeviceLog({ id }: { readonly id: string }) {
  const [isFollowing, setFollowing] = useState(true);
  const log = useLoaded(
    (signal) =>
      api<{ lines: readonly string[] }>(
        'GET',
        `${path`devices/${id}/log`}?lines=${LINES}`,
        undefined,
        signal,
      ),
    [id],
    isFollowing ? REFRESH_MS : undefined,
  );
  return (
    <>
      <div class="row spread">
        <h2>Log of the agent</h2>
        <Check isChecked={isFollowing} onChange={setFollowing}>
          Follow
        </Check>
      </div>
      <Loading of={log}>{({ lines }) => <pre>{lines.join('\n')}</pre>}</Loading>
    </>
  );
}
