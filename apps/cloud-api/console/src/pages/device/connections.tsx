import { path } from '../../api.js';
import { usePages } from '../../hooks/use-pages.js';
import { type Connection } from '../../types.js';
import { Empty } from '../../ui/empty.js';
import { causeText } from '../../ui/state.js';
import { PagedTable } from '../../ui/table.js';
import { Time } from '../../ui/time.js';
import { TimeLine } from './time-line.js';

const REFRESH_MS = 10_000;

/** When the device came and went, and why. */
export function Connections({ id }: { readonly id: string }) {
  const pages = usePages<Connection>(path`devices/${id}/connections`, { everyMs: REFRESH_MS });
  return (
    <>
      {pages.items.length > 0 && <TimeLine connections={pages.items} hasMore={pages.hasMore} />}
      <PagedTable
        caption="Connections, the newest first"
        pages={pages}
        keyOf={({ cameAt, nodeId }) => `${cameAt} ${nodeId}`}
        empty={<Empty title="It was never connected">Its connections appear here.</Empty>}
        columns={[
          { title: 'Came', cell: ({ cameAt }) => <Time at={cameAt} /> },
          {
            title: 'Went',
            cell: ({ wentAt }) =>
              wentAt === null ? <span class="state online">is connected</span> : <Time at={wentAt} />,
          },
          {
            title: 'Why',
            cell: ({ wentAt, cause, code }) =>
              wentAt !== null && `${causeText(cause)}${code === null ? '' : ` (${code})`}`,
          },
          { title: 'Address', cell: ({ address }) => address },
        ]}
      />
    </>
  );
}
