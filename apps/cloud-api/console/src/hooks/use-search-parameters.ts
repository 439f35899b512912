import { useMemo } from 'preact/hooks';
import { navigate, useSearch } from 'wouter-preact/use-browser-location';

type Change = (before: URLSearchParams) => URLSearchParams;

/**
 * The parameters of the page's address, and what changes them in place. `useSearchParams` of the router decodes twice: a filter
 * with "%41" would become another one, and so would the device of the page.
 */
export function useSearchParameters(): readonly [URLSearchParams, (change: Change) => void] {
  const search = useSearch();
  const parameters = useMemo(() => new URLSearchParams(search), [search]);
  const set = (change: Change): void => {
    // Not `parameters`: another change may have come since.
    const text = change(new URLSearchParams(location.search)).toString();
    navigate(`${location.pathname}${text === '' ? '' : `?${text}`}`, { replace: true });
  };
  return [parameters, set];
}
