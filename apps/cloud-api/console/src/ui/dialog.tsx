import { type ComponentChildren } from 'preact';
import { useId, useLayoutEffect, useRef } from 'preact/hooks';

interface Props {
  readonly title: string;
  readonly children: ComponentChildren;
  readonly onClose: () => void;
}

/** What is asked before anything else goes on. Escape closes it; then the focus is where it was. */
export function Dialog({ title, children, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const latest = useRef(onClose);
  latest.current = onClose;
  const titleId = useId();
  // Before the next key is pressed.
  useLayoutEffect(() => {
    const { current: element } = dialog;
    const ending = new AbortController();
    const close = (event: Event): void => {
      // Whoever shows it takes it away: until then it stays.
      event.preventDefault();
      latest.current();
    };
    for (const type of ['cancel', 'close']) element?.addEventListener(type, close, { signal: ending.signal });
    element?.showModal();
    return () => {
      ending.abort();
      // One that is only removed keeps the focus from what was behind it.
      element?.close();
    };
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={titleId}>
      <h2 id={titleId}>{title}</h2>
      {children}
    </dialog>
  );
}
