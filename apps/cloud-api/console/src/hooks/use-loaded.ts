import { type Inputs, useCallback, useEffect, useRef, useState } from 'preact/hooks';

/** What was loaded, and how the newest attempt went. What was loaded before stays while it is loaded again. */
export interface Loaded<Data> {
  readonly data: Data | undefined;
  readonly error: Error | undefined;
  readonly reload: () => void;
}

/**
 * Loads something when the page appears, when `inputs` change, and every `everyMs` milliseconds while the page is seen.
 * @param load is aborted when it is not needed any more.
 */
export function useLoaded<Data>(
  load: (signal: AbortSignal) => Promise<Data>,
  inputs: Inputs,
  everyMs?: number,
): Loaded<Data> {
  const [state, setState] = useState<{ data?: Data; error?: Error }>({});
  const [attempt, setAttempt] = useState(0);
  const current = useRef(load);
  current.current = load;
  const isLoading = useRef(false);
  const reload = useCallback(() => setAttempt((count) => count + 1), []);

  // Of another thing, what was loaded before means nothing.
  useEffect(() => setState({}), inputs);

  useEffect(() => {
    const ending = new AbortController();
    const end = (next: { data: Data } | { error: Error }): void => {
      if (ending.signal.aborted) return;
      isLoading.current = false;
      setState((before) => ('data' in next ? next : { ...before, ...next }));
    };
    isLoading.current = true;
    current.current(ending.signal).then(
      (data) => end({ data }),
      (error: unknown) => end({ error: error instanceof Error ? error : new Error(String(error)) }),
    );
    return () => ending.abort();
  }, [...inputs, attempt]);

  useEvery(everyMs, () => {
    // What takes longer than the interval would never end.
    if (!isLoading.current) reload();
  });

  return { data: state.data, error: state.error, reload };
}

/** Calls `work` every `everyMs` milliseconds while the page is seen; never if that is undefined. */
export function useEvery(everyMs: number | undefined, work: () => void): void {
  const current = useRef(work);
  current.current = work;
  useEffect(() => {
    if (everyMs === undefined) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) current.current();
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
}

/** @returns what calls `work` once, `delayMs` milliseconds after the first of several calls. */
export function useDelayed(work: () => void, delayMs: number): () => void {
  const current = useRef(work);
  current.current = work;
  const timer = useRef<ReturnType<typeof setTimeout>>();
  useEffect(() => () => clearTimeout(timer.current), []);
  return useCallback(() => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      current.current();
    }, delayMs);
  }, [delayMs]);
}
