import { type ComponentChildren } from 'preact';
import { type Option } from './fields.js';

interface Props {
  readonly label: string;
  readonly tabs: readonly Option[];
  readonly value: string;
  readonly onChange: (value: string) => void;
  /** What the tab shows. */
  readonly children: ComponentChildren;
}

/** Where the keys of a list of tabs lead, from one of several. */
const MOVES: Readonly<Record<string, (index: number, count: number) => number>> = {
  ArrowRight: (index, count) => (index + 1) % count,
  ArrowLeft: (index, count) => (index + count - 1) % count,
  Home: () => 0,
  End: (_index, count) => count - 1,
};

/** Tabs, by the pattern of WAI-ARIA: Tab leads to the one that is shown, and arrows to the others. */
export function Tabs({ label, tabs, value, onChange, children }: Props) {
  const move = (event: KeyboardEvent): void => {
    const index = MOVES[event.key]?.(
      tabs.findIndex(([each]) => each === value),
      tabs.length,
    );
    const [next] = tabs[index ?? -1] ?? [];
    if (next === undefined) return;
    event.preventDefault();
    onChange(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <>
      <div role="tablist" aria-label={label} class="tabs" onKeyDown={move}>
        {tabs.map(([name, title]) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`tab-${name}`}
            aria-selected={value === name}
            aria-controls="tab-content"
            tabIndex={value === name ? 0 : -1}
            onClick={() => onChange(name)}
          >
            {title}
          </button>
        ))}
      </div>
      <section id="tab-content" role="tabpanel" aria-labelledby={`tab-${value}`} class="card">
        {children}
      </section>
    </>
  );
}
