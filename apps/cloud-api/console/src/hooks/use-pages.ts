import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type Page } from '../api.js';
import { useEvery } from './use-loaded.js';

/** A list of the API that is read page by page. */
export interface Pages<Item> {
  readonly items: readonly Item[];
  /** How many there are on all pages, where the path asks for that. */
  readonly total: number | undefined;
  readonly error: Error | undefined;
  readonly isLoading: boolean;
  readonly hasMore: boolean;
  readonly more: () => void;
  /** Reads all pages again that are shown, which stay until then. Resolves to whether that has worked. */
  readonly reload: () => Promise<boolean>;
  /** Changes what is shown. */
  readonly change: (change: (item: Item) => Item) => void;
}

/** So many pages are read at once, at most: the cloud limits the requests of an address. */
const MAX_PAGES_AT_ONCE = 40;

interface State<Item> {
  readonly items: readonly Item[];
  readonly pageCount: number;
  readonly next: string | null;
  readonly total?: number | undefined;
  readonly error?: Error | undefined;
  readonly isLoading: boolean;
}

interface Options<Item> {
  /** Reads the list again so often, in milliseconds, as long as the first page is all that is shown. */
  readonly everyMs?: number;
  /** How many pages are read when the list appears: 1 by default. */
  readonly firstCount?: number;
  /** What is in the list once, though it moves to a later page while the pages are read. */
  readonly idOf?: (item: Item) => string;
}

/**
 * @param list its path with its query, to which `cursor` is added; or what makes the path whenever the list is read anew. If
 *   this is another one, so is the list.
 */
export function usePages<Item>(
  list: string | (() => string),
  { everyMs, firstCount = 1, idOf }: Options<Item> = {},
): Pages<Item> {
  const [state, setState] = useState<State<Item>>({ items: [], pageCount: 0, next: null, isLoading: true });
  const loading = useRef<AbortController>();

  const path = useRef('');
  const isNew = useRef(true);

  /** @param after the cursor of the next page; without it, the list is read anew. */
  const load = async (count: number, after: string | null = null): Promise<boolean> => {
    loading.current?.abort();
    const { signal } = (loading.current = new AbortController());
    const change = (next: (before: State<Item>) => Partial<State<Item>>): void => {
      if (!signal.aborted) setState((before) => ({ ...before, ...next(before) }));
    };
    change(() => ({ isLoading: true }));
    if (after === null) path.current = typeof list === 'string' ? list : list();
    try {
      const read = await readPages<Item>(path.current, count, after, signal);
      change((before) => ({
        ...read,
        items: withoutRepeats(after === null ? read.items : [...before.items, ...read.items], idOf),
        ...(after !== null && { pageCount: before.pageCount + read.pageCount }),
        error: undefined,
        isLoading: false,
      }));
      return true;
    } catch (error) {
      change(() => ({ error: error as Error, isLoading: false }));
      return false;
    }
  };

  useEffect(() => {
    void load(isNew.current ? Math.min(firstCount, MAX_PAGES_AT_ONCE) : 1);
    isNew.current = false;
    return () => loading.current?.abort();
  }, [list]);
  useEvery(everyMs, () => {
    if (state.pageCount <= 1 && !state.isLoading) void load(1);
  });

  const { items, pageCount, total, next, error, isLoading } = state;
  return {
    items,
    total,
    error,
    isLoading,
    hasMore: next !== null,
    more: () => {
      if (next !== null && !isLoading) void load(1, next);
    },
    reload: () => load(Math.min(Math.max(1, pageCount), MAX_PAGES_AT_ONCE)),
    change: (change) => setState((before) => ({ ...before, items: before.items.map(change) })),
  };
}

function withoutRepeats<Item>(
  items: readonly Item[],
  idOf: ((item: Item) => string) | undefined,
): readonly Item[] {
  return idOf === undefined ? items : [...new Map(items.map((item) => [idOf(item), item])).values()];
}

type Read<Item> = Pick<State<Item>, 'items' | 'pageCount' | 'next' | 'total'>;

/** Reads pages one after another: at most so many, and at least one. */
async function readPages<Item>(
  path: string,
  count: number,
  after: string | null,
  signal: AbortSignal,
): Promise<Read<Item>> {
  const page = await api<Page<Item>>('GET', withCursor(path, after), undefined, signal);
  const { items, next, total } = page;
  if (count <= 1 || next === null) return { items, pageCount: 1, next, total };
  const more = await readPages<Item>(path, count - 1, next, signal);
  return { ...more, items: [...items, ...more.items], pageCount: more.pageCount + 1 };
}

function withCursor(path: string, cursor: string | null): string {
  if (cursor === null) return path;
  return `${path}${path.includes('?') ? '&' : '?'}cursor=${encodeURIComponent(cursor)}`;
}
