import { effect, signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { me } from '../api.js';

/** By what it is. In memory only: these are secrets. */
const shown = signal<Readonly<Record<string, unknown>>>({});

// Whoever logs in next must not see them.
effect(() => {
  if (me.value === null) shown.value = {};
});

/**
 * As `useState`, for a secret that the cloud shows only once: it stays while the viewer goes to other pages, and the browser
 * asks before it closes or reloads the page. Undefined forgets it.
 */
export function useShownOnce<Value>(name: string): [Value | undefined, (value: Value | undefined) => void] {
  const value = shown.value[name] as Value | undefined;
  const isShown = value !== undefined;
  useEffect(() => {
    if (!isShown) return undefined;
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    window.addEventListener('beforeunload', ask);
    return () => window.removeEventListener('beforeunload', ask);
  }, [isShown]);
  const set = (next: Value | undefined): void => {
    shown.value = { ...shown.value, [name]: next };
  };
  return [value, set];
}
