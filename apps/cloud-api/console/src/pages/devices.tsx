import { useCallback } from 'preact/hooks';
import { Link } from 'wouter-preact';
import { query } from '../api.js';
import { type Pages, usePages } from '../hooks/use-pages.js';
import { useSearchParameters } from '../hooks/use-search-parameters.js';
import { useTitle } from '../hooks/use-title.js';
import { mayDo } from '../roles.js';
import { type Device } from '../types.js';
import { countOf } from '../ui/count.js';
import { Empty } from '../ui/empty.js';
import { Check } from '../ui/fields.js';
import { keepScroll, keptScroll } from '../ui/kept-scroll.js';
import { NoDevices } from '../ui/no-devices.js';
import { Problem } from '../ui/problem.js';
import { VirtualList } from '../ui/virtual-list.js';
import { BulkBar } from './devices/bulk-bar.js';
import { DeviceFilter } from './devices/device-filter.js';
import { DeviceRow, ROW_HEIGHT } from './devices/device-row.js';
import { type Filter, filterIn } from './devices/filter.js';
import { type Selection, useSelection } from './devices/selection.js';
import { useLiveStates } from './devices/use-live-states.js';

const PAGE_SIZE = 500;
const REFRESH_MS = 10_000;

/** All devices: found, sorted, selected. What is filtered by is in the address, which can be kept as a bookmark. */
export function DevicesPage() {
  useTitle('Devices');
  const [parameters] = useSearchParameters();
  const filterNow = useFilter(parameters);
  const sort = parameters.get('sort') ?? undefined;
  const list = useCallback(
    () => `devices${query({ ...filterNow(), sort, limit: PAGE_SIZE, total: 'true' })}`,
    [filterNow, sort],
  );
  const pages = usePages<Device>(list, {
    everyMs: REFRESH_MS,
    firstCount: Math.floor(keptScroll() / ROW_HEIGHT / PAGE_SIZE) + 1,
    idOf: ({ id }) => id,
  });
  useLiveStates(pages);
  const selection = useSelection(pages.items, filterNow);
  const { items, error, isLoading } = pages;
  return (
    <>
      <h1>Devices</h1>
      <DeviceFilter />
      {error && <Problem error={error} onRetry={pages.reload} />}
      <p class="row spread">
        <Count pages={pages} />
        {mayDo('operator') && items.length > 0 && <SelectAll pages={pages} selection={selection} />}
      </p>
      {selection.select && (
        <BulkBar
          select={selection.select}
          onDone={() => {
            selection.clear();
            void pages.reload();
          }}
        />
      )}
      {items.length === 0 && !isLoading && !error ? (
        <Nothing isFiltered={Object.keys(filterNow()).length > 0} />
      ) : (
        <VirtualList
          key={parameters.toString()}
          items={items}
          rowHeight={ROW_HEIGHT}
          label="Devices"
          keyOf={({ id }) => id}
          // After an error, "Try again" does it.
          onEnd={error ? undefined : pages.more}
          scrollTop={keptScroll()}
          onScroll={keepScroll}
          row={(device) => (
            <DeviceRow
              device={device}
              isSelected={selection.has(device.id)}
              onToggle={() => selection.toggle(device.id)}
            />
          )}
        />
      )}
    </>
  );
}

/** Makes the filter, with times relative to now. The same function until it changes. */
function useFilter(parameters: URLSearchParams): () => Filter {
  const filtering = new URLSearchParams(parameters);
  filtering.delete('sort');
  const text = filtering.toString();
  return useCallback(() => filterIn(new URLSearchParams(text)), [text]);
}

function Count({ pages: { items, total = 0, isLoading } }: { readonly pages: Pages<Device> }) {
  const isFirst = isLoading && items.length === 0;
  return <span role="status">{isFirst ? 'Loading…' : countOf(total, 'device')}</span>;
}

interface SelectAllProps {
  readonly pages: Pages<Device>;
  readonly selection: Selection;
}

/** Those that are loaded; and once these are selected, all that match. */
function SelectAll({ pages: { items, total = 0 }, selection }: SelectAllProps) {
  const hasLoaded = items.every(({ id }) => selection.has(id));
  return (
    <span class="row">
      {hasLoaded && !selection.isAll && total > items.length && (
        <button type="button" onClick={selection.selectAll}>
          Select all {total} that match
        </button>
      )}
      <Check isChecked={hasLoaded} onChange={hasLoaded ? selection.clear : selection.selectLoaded}>
        Select the {items.length} that are loaded
      </Check>
    </span>
  );
}

function Nothing({ isFiltered }: { readonly isFiltered: boolean }) {
  if (!isFiltered) return <NoDevices />;
  return (
    <Empty title="No device matches">
      <Link href="/devices">Show all devices</Link>, or change the filter.
    </Empty>
  );
}
