import { useState } from 'preact/hooks';

/**
 * As `useState`, for what somebody has typed and not sent: it survives a reload of the page, and a new login. Undefined forgets
 * it. Where the browser keeps nothing, it is only state.
 */
export function useStored<Value>(key: string): [Value | undefined, (value: Value | undefined) => void] {
  const [value, setValue] = useState(() => read(key) as Value | undefined);
  const store = (next: Value | undefined): void => {
    setValue(next);
    write(key, next);
  };
  return [value, store];
}

/** Forgets all that was typed: whoever logs in next must not see it. */
export function forgetStored(): void {
  try {
    sessionStorage.clear();
  } catch {
    // There is nothing to forget.
  }
}

function read(key: string): unknown {
  try {
    const text = sessionStorage.getItem(key);
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function write(key: string, value: unknown): void {
  try {
    if (value === undefined) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Its storage is full or off.
  }
}
