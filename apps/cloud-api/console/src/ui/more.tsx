import { type Pages } from '../hooks/use-pages.js';

interface Props {
  readonly pages: Pick<Pages<unknown>, 'hasMore' | 'isLoading' | 'more'>;
}

/** The button below a list that is read page by page. */
export function More({ pages }: Props) {
  if (!pages.hasMore) return null;
  return (
    <p>
      <button type="button" disabled={pages.isLoading} onClick={pages.more}>
        Show more
      </button>
    </p>
  );
}
