import { usePages } from '../hooks/use-pages.js';
import { type AuditEntry } from '../types.js';
import { Empty } from './empty.js';
import { shortJson } from './json.js';
import { PagedTable } from './table.js';
import { Time } from './time.js';

/** Who did what, the newest first. */
export function AuditTable({ path, isFiltered }: { readonly path: string; readonly isFiltered: boolean }) {
  return (
    <PagedTable
      caption="Audit, the newest first"
      pages={usePages<AuditEntry>(path)}
      keyOf={({ id }) => String(id)}
      empty={
        isFiltered ? (
          <Empty title="Nothing matches">Names must be whole: change the filter.</Empty>
        ) : (
          <Empty title="Nothing was done">What operators change appears here.</Empty>
        )
      }
      columns={[
        { title: 'When', cell: ({ at }) => <Time at={at} /> },
        { title: 'Who', cell: ({ actor, address }) => <span title={address}>{actor}</span> },
        { title: 'What', cell: ({ action }) => action },
        { title: 'To', cell: ({ target }) => target },
        { title: 'Outcome', cell: ({ status }) => status },
        {
          title: 'Details',
          class: 'code',
          cell: ({ details }) => (details === null ? '' : shortJson(details)),
        },
      ]}
    />
  );
}
