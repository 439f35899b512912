import { useEffect, useState } from 'preact/hooks';
import { type LiveEvent, type LiveHistory, WRITTEN_MS } from '../../live/live.js';
import { cloudNow } from '../../ui/clock.js';

/** More are forgotten, the oldest first. */
const MAX_LIVE = 200;

interface LiveMessage {
  readonly number: number;
  readonly at: string;
  readonly direction: 'up' | 'down';
  readonly body: unknown;
  /** Since when the connection by which it came was open, by the clock of the cloud. */
  readonly since: string;
}

/** Messages that came while the page was open. */
export interface LiveMessages {
  readonly items: readonly LiveMessage[];
  /** Since when none was missed. */
  readonly since: string | undefined;
  /** Whether some that came since then are forgotten. */
  readonly hasForgotten: boolean;
  readonly isPaused: boolean;
  readonly setPaused: (isPaused: boolean) => void;
  /** Connects anew: what was missed is among those of the database then. */
  readonly reopen: () => void;
}

interface Kept extends Pick<LiveMessages, 'items' | 'since' | 'hasForgotten'> {
  readonly onHistory: (history: LiveHistory) => void;
  readonly onEvent: (event: LiveEvent) => void;
}

let lastNumber = 0;

/** Keeps what `/live` says of a device, up to a limit; nothing while the viewer wants to read. */
export function useKeptMessages(isPaused: boolean): Kept {
  const [items, setItems] = useState<readonly LiveMessage[]>([]);
  const [since, setSince] = useState<string>();
  const [hasForgotten, setForgotten] = useState(false);
  const onHistory = ({ at }: LiveHistory): void => {
    setSince(at);
    setForgotten(false);
  };
  const onEvent = ({ event, data }: LiveEvent): void => {
    if (isPaused || since === undefined || (event !== 'message' && event !== 'sent')) return;
    const { message: body } = data as { readonly message: unknown };
    const direction = event === 'message' ? 'up' : 'down';
    const at = new Date(cloudNow()).toISOString();
    setItems((before) =>
      [{ number: ++lastNumber, at, direction, body, since } as const, ...before].slice(0, MAX_LIVE),
    );
    if (items.length >= MAX_LIVE) setForgotten(true);
  };
  return { items, since, hasForgotten, onHistory, onEvent };
}

/**
 * The time at which what came live begins, and what is in the database ends: when the connection was opened, as soon as the
 * database has been read after that. Until then both are shown as they are.
 * @param reload reads the database, and resolves to whether that has worked.
 */
export function useSeam({ since }: LiveMessages, reload: () => Promise<boolean>): string | undefined {
  const [seam, setSeam] = useState(() => (isWritten(since) ? since : undefined));
  useEffect(() => {
    if (since === undefined || since === seam) return undefined;
    const read = async (): Promise<void> => {
      if (await reload()) setSeam(since);
    };
    const timer = setTimeout(() => void read(), WRITTEN_MS);
    return () => clearTimeout(timer);
  }, [since]);
  return seam;
}

/** Whether the database has all that happened before. */
function isWritten(time: string | undefined): boolean {
  return time !== undefined && cloudNow() - Date.parse(time) > WRITTEN_MS;
}
