import { type ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

/** Rows above and below those that are seen, so that scrolling shows no gaps. */
const SPARE = 10;
/** How long, in milliseconds, after the last movement it is said where the list stands. */
const STILL_MS = 100;

interface Props<Item> {
  readonly items: readonly Item[];
  /** In pixels; all rows have it. */
  readonly rowHeight: number;
  readonly label: string;
  readonly keyOf: (item: Item) => string;
  readonly row: (item: Item, index: number) => ComponentChildren;
  /** Called while the last rows are near. */
  readonly onEnd?: (() => void) | undefined;
  /** How far it is scrolled at first, in pixels. */
  readonly scrollTop?: number;
  /** Called when it stands still after it was scrolled. */
  readonly onScroll?: (scrollTop: number) => void;
}

/** A list of thousands of rows, of which only those that are seen exist. */
export function VirtualList<Item>(props: Props<Item>) {
  const { items, rowHeight, label, keyOf, row, onEnd, scrollTop = 0, onScroll } = props;
  const view = useRef<HTMLDivElement>(null);
  const latest = useRef(onScroll);
  latest.current = onScroll;
  const [{ first, count }, setShown] = useState({ first: 0, count: 50 });

  useEffect(() => {
    const { current: element } = view;
    if (!element) return undefined;
    const look = (): void => {
      const from = Math.max(0, Math.floor(element.scrollTop / rowHeight) - SPARE);
      const shown = Math.ceil(element.clientHeight / rowHeight) + 2 * SPARE;
      setShown((before) =>
        before.first === from && before.count === shown ? before : { first: from, count: shown },
      );
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onMove = (): void => {
      look();
      clearTimeout(timer);
      timer = setTimeout(() => latest.current?.(element.scrollTop), STILL_MS);
    };
    const resized = new ResizeObserver(look);
    resized.observe(element);
    element.addEventListener('scroll', onMove, { passive: true });
    look();
    return () => {
      clearTimeout(timer);
      resized.disconnect();
      element.removeEventListener('scroll', onMove);
    };
  }, [rowHeight]);

  const isEmpty = items.length === 0;
  useLayoutEffect(() => {
    if (view.current && !isEmpty) view.current.scrollTop = scrollTop;
  }, [isEmpty]);

  const isNearEnd = first + count >= items.length;
  useEffect(() => {
    if (isNearEnd) onEnd?.();
  });

  return (
    <div class="virtual" ref={view} role="list" aria-label={label} tabIndex={0}>
      <div style={{ height: `${items.length * rowHeight}px` }}>
        <div style={{ transform: `translateY(${first * rowHeight}px)` }}>
          {items.slice(first, first + count).map((item, index) => (
            <div
              key={keyOf(item)}
              role="listitem"
              aria-setsize={items.length}
              aria-posinset={first + index + 1}
              style={{ height: `${rowHeight}px` }}
              class="virtual-row"
            >
              {row(item, first + index)}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}
