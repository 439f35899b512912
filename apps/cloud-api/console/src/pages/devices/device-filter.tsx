import { useEffect, useState } from 'preact/hooks';
import { useSearchParameters } from '../../hooks/use-search-parameters.js';
import { Choice, type Option, TextField } from '../../ui/fields.js';
import { listIn } from '../../ui/form.js';
import { LAST_SEEN_OPTIONS } from './filter.js';

/** How long, in milliseconds, after the last key it is searched. */
const TYPING_MS = 300;

const STATES = [
  ['', 'Any state'],
  ['online', 'Online'],
  ['offline', 'Offline'],
  ['never_seen', 'Never seen'],
  ['flapping', 'Flapping'],
  ['blocked', 'Blocked'],
] as const;

const SORTS = [
  ['', 'By id'],
  ['name', 'By name'],
  ['-lastSeen', 'Last seen: newest first'],
  ['lastSeen', 'Last seen: oldest first'],
  ['-stateSince', 'Newest change first'],
  ['stateSince', 'Oldest change first'],
] as const;

/** What the list is filtered and sorted by; it is kept in the address. */
export function DeviceFilter() {
  const [parameters, setParameters] = useSearchParameters();
  const field = (name: string) => ({
    value: parameters.getAll(name).join(', '),
    onChange: (value: string): void => {
      const values = name === 'tag' ? listIn(value, ',') : [value];
      const change = (before: URLSearchParams): URLSearchParams => {
        const next = new URLSearchParams(before);
        next.delete(name);
        for (const each of values) if (each !== '') next.append(name, each);
        return next;
      };
      setParameters(change);
    },
  });
  const choice = (label: string, name: string, options: readonly Option[]) => (
    <Choice label={label} options={options} {...field(name)} />
  );
  return (
    <form role="search" class="row filter" onSubmit={(event) => event.preventDefault()}>
      <TextFilter label="Search" {...field('search')} />
      {choice('State', 'state', STATES)}
      <TextFilter label="Tags" {...field('tag')} />
      <TextFilter label="Agent version" {...field('version')} />
      {choice('Seen last', 'lastSeen', LAST_SEEN_OPTIONS)}
      {choice('Sort', 'sort', SORTS)}
    </form>
  );
}

interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}

/** Searches when nothing more is typed. */
function TextFilter({ label, value, onChange }: FieldProps) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed === value) return undefined;
    const timer = setTimeout(() => onChange(typed), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return <TextField label={label} type="search" value={typed} onChange={setTyped} />;
}
