import { type Overview, type ServingNode } from '../../types.js';
import { countOf } from '../../ui/count.js';
import { DeviceLink } from '../../ui/device-link.js';
import { causeText } from '../../ui/state.js';
import { Time } from '../../ui/time.js';

/** How many connections opened, and how many closed, by reason. */
export function LastHour({ connects, closes }: Overview['lastHour']) {
  const counts = Object.entries(closes);
  return (
    <section class="card">
      <h2>The last hour</h2>
      <p>{countOf(connects, 'connection')} opened. Closed, by reason:</p>
      {counts.length === 0 && <p class="quiet">None.</p>}
      <table>
        <tbody>
          {counts.map(([cause, count]) => (
            <tr key={cause}>
              <th scope="row">{causeText(cause)}</th>
              <td>{count}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** The processes that serve the fleet. */
export function Nodes({ nodes }: Pick<Overview, 'nodes'>) {
  return (
    <section class="card">
      <h2>Nodes</h2>
      <ul class="nodes">
        {nodes.map((node) => (
          <li key={node.id}>
            <NodeState node={node} /> {node.host}, {countOf(node.devices, 'device')}, started{' '}
            <Time at={node.startedAt} isRelative />
          </li>
        ))}
      </ul>
    </section>
  );
}

function NodeState({ node: { alive, backplaneUp } }: { readonly node: ServingNode }) {
  if (!alive) return <span class="state offline">Dead</span>;
  if (!backplaneUp) return <span class="state flapping">Cannot reach the other nodes</span>;
  return <span class="state online">Alive</span>;
}

/** The devices that connect again and again. */
export function Flapping({ devices }: { readonly devices: Overview['flapping'] }) {
  return (
    <section class="card">
      <h2>Flapping</h2>
      {devices.length === 0 && <p class="quiet">No device: none came 5 times in 10 minutes.</p>}
      <ul>
        {devices.map(({ id, connects }) => (
          <li key={id}>
            <DeviceLink id={id} />: {countOf(connects, 'connection')}
          </li>
        ))}
      </ul>
    </section>
  );
}
