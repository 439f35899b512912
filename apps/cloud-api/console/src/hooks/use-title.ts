import { effect, signal } from '@preact/signals';
import { useLayoutEffect } from 'preact/hooks';

/** What the page is about, from the closest to the widest: as "lamp – Devices". */
export const title = signal('');

effect(() => {
  document.title = title.value === '' ? 'Fedecks' : `${title.value} – Fedecks`;
});

/** Names the page in the list of tabs, in bookmarks and for screen readers. */
export function useTitle(...parts: readonly string[]): void {
  const text = parts.join(' – ');
  useLayoutEffect(() => {
    title.value = text;
  }, [text]);
}
