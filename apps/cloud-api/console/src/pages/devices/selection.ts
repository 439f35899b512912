import { useEffect, useState } from 'preact/hooks';
import { type Device } from '../../types.js';
import { type Filter } from './filter.js';

/** Which devices a bulk action hits. */
export type Select =
  { readonly ids: readonly string[] } | { readonly filter: Filter } | { readonly all: true };

/** Which devices are selected. */
export interface Selection {
  /** Undefined: none. */
  readonly select: Select | undefined;
  /** All that match, also those that are not loaded. */
  readonly isAll: boolean;
  readonly has: (id: string) => boolean;
  readonly toggle: (id: string) => void;
  readonly selectLoaded: () => void;
  readonly selectAll: () => void;
  readonly clear: () => void;
}

/**
 * @param loaded the devices of the list that are loaded.
 * @param filterNow makes what they were found by; another function when that is changed.
 */
export function useSelection(loaded: readonly Device[], filterNow: () => Filter): Selection {
  const [selected, setSelected] = useState<ReadonlySet<string> | Filter>(new Set());
  // Of others, nobody would see which are selected.
  useEffect(() => setSelected(new Set()), [filterNow]);
  const isAll = !isSet(selected);
  const loadedIds = (): Set<string> => new Set(loaded.map(({ id }) => id));
  return {
    select: selectOf(selected),
    isAll,
    has: (id) => isAll || selected.has(id),
    toggle: (id) => {
      const next = isAll ? loadedIds() : new Set(selected);
      if (!next.delete(id)) next.add(id);
      setSelected(next);
    },
    selectLoaded: () => setSelected(loadedIds()),
    // Whatever time passes before something is done to them: those that match now.
    selectAll: () => setSelected(filterNow()),
    clear: () => setSelected(new Set()),
  };
}

function isSet(selected: ReadonlySet<string> | Filter): selected is ReadonlySet<string> {
  return selected instanceof Set;
}

function selectOf(selected: ReadonlySet<string> | Filter): Select | undefined {
  if (isSet(selected)) return selected.size > 0 ? { ids: [...selected] } : undefined;
  return Object.keys(selected).length > 0 ? { filter: selected } : { all: true };
}
