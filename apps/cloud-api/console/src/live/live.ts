import { effect, signal } from '@preact/signals';
import { checkSession } from '../api.js';

/** What `/live` says. */
export interface LiveEvent {
  readonly event:
    'devices' | 'history' | 'connected' | 'disconnected' | 'message' | 'sent' | 'error' | 'rates';
  readonly data: unknown;
}

/** What a view of `/live` begins with. */
export interface LiveHistory {
  /** The time at the cloud: what happened before is not said again. */
  readonly at: string;
  /** The oldest first. */
  readonly errors: readonly LiveError[];
  readonly rates: readonly Rates[];
}

/** An error of a device, or of a stranger. */
export interface LiveError {
  readonly at: string;
  readonly deviceId: string | null;
  readonly type: string;
}

/** What a node did in a second. */
export interface Rates {
  /** In milliseconds since 1970. */
  readonly at: number;
  readonly connects: number;
  /** By cause. */
  readonly closes: Readonly<Record<string, number>>;
  readonly received: number;
  readonly sent: number;
  readonly requests: number;
  readonly deliveries: number;
}

export interface Watching {
  /** Connects anew: `history` comes again. */
  reopen(): void;
  end(): void;
}

/** How long, in milliseconds, until a lost connection is tried again: doubled each time, up to the last. */
const [FIRST_RETRY_MS, LAST_RETRY_MS] = [1_000, 30_000];

/** How long, in milliseconds, the first attempt may take before the page says that it is not live. */
const FIRST_ATTEMPT_MS = 3_000;

/** The cloud writes what happens into its database in batches: what is asked for after so many milliseconds has it. */
export const WRITTEN_MS = 700;

/** "Policy violation": the session has ended. */
const NOT_ALLOWED = 1008;

/** How many live connections this page wants, and has. */
export const liveCounts = signal({ wanted: 0, open: 0 });

/**
 * Watches `/live` while the page is seen, and tries again when the connection is lost.
 * @param view the query of its URL, as `?fleet`.
 */
export function watchLive(view: string, onEvent: (event: LiveEvent) => void): Watching {
  let socket: WebSocket | undefined;
  let retryMs = FIRST_RETRY_MS;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isCounted = false;
  // While the first attempt goes on, nobody needs to know that the page is not live yet.
  const count = (): void => {
    if (!isCounted) change({ wanted: 1 });
    isCounted = true;
  };
  const counting = setTimeout(count, FIRST_ATTEMPT_MS);

  const connect = (): void => {
    const { protocol, host } = location;
    const opened = new WebSocket(`${protocol === 'https:' ? 'wss' : 'ws'}://${host}/live${view}`);
    let isOpen = false;
    socket = opened;
    opened.addEventListener('open', () => {
      if (socket !== opened) {
        opened.close();
        return;
      }
      isOpen = true;
      retryMs = FIRST_RETRY_MS;
      count();
      change({ open: 1 });
    });
    opened.addEventListener('message', ({ data }) => {
      if (typeof data === 'string' && socket === opened) onEvent(JSON.parse(data) as LiveEvent);
    });
    opened.addEventListener('close', ({ code }) => {
      if (isOpen) change({ open: -1 });
      if (socket !== opened) return;
      if (code === NOT_ALLOWED) void checkSession();
      count();
      timer = setTimeout(connect, retryMs);
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    });
  };
  const close = (): void => {
    clearTimeout(timer);
    const closing = socket;
    socket = undefined;
    // One that is not open yet is closed when it is: browsers warn of others.
    if (closing?.readyState !== WebSocket.CONNECTING) closing?.close();
  };
  const reopen = (): void => {
    close();
    if (!document.hidden) connect();
  };
  document.addEventListener('visibilitychange', reopen);
  reopen();

  const end = (): void => {
    document.removeEventListener('visibilitychange', reopen);
    close();
    clearTimeout(counting);
    if (isCounted) change({ wanted: -1 });
  };
  return { reopen, end };
}

/** Calls `refresh` again and again while a live connection is missing: what it would have said is asked for. */
export function pollWhileNotLive(refresh: () => void, everyMs: number): () => void {
  let timer: ReturnType<typeof setInterval> | undefined;
  const refreshIfSeen = (): void => {
    if (!document.hidden) refresh();
  };
  const stop = effect(() => {
    const { wanted, open } = liveCounts.value;
    clearInterval(timer);
    if (open < wanted) timer = setInterval(refreshIfSeen, everyMs);
  });
  return () => {
    stop();
    clearInterval(timer);
  };
}

function change({ wanted = 0, open = 0 }: { wanted?: number; open?: number }): void {
  const { value } = liveCounts;
  liveCounts.value = { wanted: value.wanted + wanted, open: value.open + open };
}
