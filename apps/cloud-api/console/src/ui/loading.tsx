import { type ComponentChildren } from 'preact';
import { type Loaded } from '../hooks/use-loaded.js';
import { Problem } from './problem.js';

interface Props<Data> {
  readonly of: Loaded<Data>;
  /** Shows what was loaded. */
  readonly children: (data: Data) => ComponentChildren;
}

/** What is loaded, as soon as it is there; and what went wrong, if the newest attempt failed. */
export function Loading<Data>({ of: { data, error, reload }, children }: Props<Data>) {
  return (
    <>
      {error && <Problem error={error} onRetry={reload} />}
      {data === undefined ? !error && <p class="quiet">Loading…</p> : children(data)}
    </>
  );
}
