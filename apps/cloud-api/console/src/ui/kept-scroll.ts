/** The browser keeps it with the entry of its history: a reload and "back" find it again, and a new filter begins at the top. */
const KEY = 'scrollTop';

/** How far the list of this page was scrolled, in pixels. */
export function keptScroll(): number {
  const kept = (history.state as Readonly<Record<string, unknown>> | null)?.[KEY];
  return typeof kept === 'number' && kept > 0 ? kept : 0;
}

export function keepScroll(scrollTop: number): void {
  history.replaceState({ ...(history.state as object | null), [KEY]: scrollTop }, '');
}
