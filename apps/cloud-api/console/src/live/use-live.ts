import { useCallback, useEffect, useRef } from 'preact/hooks';
import { setCloudTime } from '../ui/clock.js';
import { useDelayed } from '../hooks/use-loaded.js';
import {
  type LiveEvent,
  type LiveHistory,
  pollWhileNotLive,
  type Watching,
  watchLive,
  WRITTEN_MS,
} from './live.js';

const POLL_MS = 5_000;

interface Handlers {
  /** Begins, or begins anew. */
  readonly onHistory: (history: LiveHistory) => void;
  readonly onEvent: (event: LiveEvent) => void;
  /** Loads what is shown: every few seconds while the connection is missing, and when it is back. */
  readonly refresh: () => void;
}

/**
 * Watches `/live` while the page is there.
 * @param view the query of its URL.
 * @returns what connects anew.
 */
export function useLive(view: string, handlers: Handlers): () => void {
  const latest = useRef(handlers);
  latest.current = handlers;
  const watching = useRef<Watching>();
  const refreshSoon = useDelayed(() => latest.current.refresh(), WRITTEN_MS);
  useEffect(() => {
    let isFirst = true;
    const onEvent = (event: LiveEvent): void => {
      if (event.event !== 'history') return latest.current.onEvent(event);
      const history = event.data as LiveHistory;
      setCloudTime(history.at);
      latest.current.onHistory(history);
      // What happened while it was missing.
      if (!isFirst) refreshSoon();
      isFirst = false;
    };
    watching.current = watchLive(view, onEvent);
    const stopPolling = pollWhileNotLive(() => latest.current.refresh(), POLL_MS);
    return () => {
      watching.current?.end();
      stopPolling();
    };
  }, [view]);
  return useCallback(() => watching.current?.reopen(), []);
}
