import { signal } from '@preact/signals';

interface Notice {
  readonly number: number;
  readonly text: string;
  readonly isError: boolean;
}

/** How long, in milliseconds, a notice is shown; errors stay until they are closed. */
const SHOWN_MS = 6_000;
const MAX_NOTICES = 5;

const notices = signal<readonly Notice[]>([]);
let last = 0;

/** Tells the viewer what has happened. */
export function tell(text: string): void {
  const number = add(text, false);
  setTimeout(() => close(number), SHOWN_MS);
}

/** Tells the viewer what has failed. */
export function tellError(error: unknown): void {
  add(error instanceof Error ? error.message : String(error), true);
}

/** Does something, and tells the viewer how it went. Returns whether it has worked. */
export async function attempt(work: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await work();
    if (done !== undefined) tell(done);
    return true;
  } catch (error) {
    tellError(error);
    return false;
  }
}

/** Where they are shown. Screen readers say them. */
export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map(({ number, text, isError }) => (
        <div key={number} class={isError ? 'notice error' : 'notice'}>
          <span>{text}</span>
          <button type="button" aria-label="Close this notice" onClick={() => close(number)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}

function add(text: string, isError: boolean): number {
  notices.value = [...notices.value, { number: ++last, text, isError }].slice(-MAX_NOTICES);
  return last;
}

function close(number: number): void {
  notices.value = notices.value.filter((notice) => notice.number !== number);
}
