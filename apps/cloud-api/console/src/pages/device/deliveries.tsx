import { api, path } from '../../api.js';
import { useLoaded } from '../../hooks/use-loaded.js';
import { mayDo } from '../../roles.js';
import { type Delivery } from '../../types.js';
import { Empty } from '../../ui/empty.js';
import { shortJson } from '../../ui/json.js';
import { Loading } from '../../ui/loading.js';
import { attempt } from '../../ui/notices.js';
import { Table } from '../../ui/table.js';
import { Time } from '../../ui/time.js';

const REFRESH_MS = 2_000;

/** What waits for the device, and what became of it. */
export function Deliveries({ id }: { readonly id: string }) {
  const deliveries = useLoaded(
    (signal) => api<readonly Delivery[]>('GET', path`devices/${id}/deliveries`, undefined, signal),
    [id],
    REFRESH_MS,
  );
  const cancel = async (delivery: string): Promise<void> => {
    await attempt(() => api('DELETE', path`deliveries/${delivery}`));
    deliveries.reload();
  };
  return (
    <Loading of={deliveries}>
      {(found) =>
        found.length === 0 ? (
          <Empty title="No delivery">What is delivered waits here until the device has handled it.</Empty>
        ) : (
          <DeliveryTable deliveries={found.toReversed()} onCancel={(each) => void cancel(each)} />
        )
      }
    </Loading>
  );
}

interface TableProps {
  readonly deliveries: readonly Delivery[];
  readonly onCancel: (id: string) => void;
}

function DeliveryTable({ deliveries, onCancel }: TableProps) {
  return (
    <Table
      caption="Deliveries, the newest first"
      rows={deliveries}
      keyOf={({ id }) => id}
      columns={[
        { title: 'Event', cell: ({ event }) => event },
        { title: 'State', cell: ({ state }) => state },
        { title: 'Since', cell: ({ finalAt, queuedAt }) => <Time at={finalAt ?? queuedAt} /> },
        { title: 'Attempts', cell: ({ attempts }) => attempts },
        {
          title: 'Outcome',
          class: 'code',
          cell: ({ code, text = '', result }) =>
            code === undefined ? shortJson(result) : `${code}: ${text}`,
        },
        {
          title: 'Actions',
          isTitleHidden: true,
          cell: ({ id, event, state }) =>
            mayDo('operator') &&
            (state === 'queued' || state === 'sent') && (
              <button type="button" aria-label={`Cancel ${event}`} onClick={() => onCancel(id)}>
                Cancel
              </button>
            ),
        },
      ]}
    />
  );
}
