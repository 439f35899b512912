import { type ComponentChildren } from 'preact';
import { type Pages } from '../hooks/use-pages.js';
import { More } from './more.js';
import { Problem } from './problem.js';

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** For screen readers only: what is in it explains itself. */
  readonly isTitleHidden?: boolean;
  readonly class?: string;
}

interface Props<Row> {
  /** For screen readers. */
  readonly caption: string;
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  readonly columns: readonly Column<Row>[];
}

/** A table, which scrolls sideways where it is too wide. */
export function Table<Row>({ caption, rows, keyOf, columns }: Props<Row>) {
  return (
    <div class="scroll-x" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ title, isTitleHidden }) => (
              <th key={title} scope="col">
                <span class={isTitleHidden ? 'hidden' : undefined}>{title}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map(({ title, cell, class: name }) => (
                <td key={title} class={name}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface PagedProps<Row> extends Omit<Props<Row>, 'rows'> {
  readonly pages: Pages<Row>;
  /** Instead of a table without rows. */
  readonly empty: ComponentChildren;
}

/** A table of a list that is read page by page. */
export function PagedTable<Row>({ pages, empty, ...table }: PagedProps<Row>) {
  const { items, error, isLoading, reload } = pages;
  const isEmpty = items.length === 0;
  return (
    <>
      {error && <Problem error={error} onRetry={reload} />}
      {isEmpty && isLoading && !error && <p class="quiet">Loading…</p>}
      {isEmpty && !isLoading && !error && empty}
      {!isEmpty && <Table rows={items} {...table} />}
      <More pages={pages} />
    </>
  );
}
