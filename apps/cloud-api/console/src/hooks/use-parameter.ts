import { useSearchParameters } from './use-search-parameters.js';

/** A parameter of the page's address, which can be kept as a bookmark. The others stay when it is set. */
export function useParameter(name: string, fallback = ''): [string, (value: string) => void] {
  const [parameters, setParameters] = useSearchParameters();
  const set = (value: string): void => {
    const change = (before: URLSearchParams): URLSearchParams => {
      const next = new URLSearchParams(before);
      if (value === fallback) next.delete(name);
      else next.set(name, value);
      return next;
    };
    setParameters(change);
  };
  return [parameters.get(name) ?? fallback, set];
}
