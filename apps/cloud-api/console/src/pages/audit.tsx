import { query } from '../api.js';
import { useSearchParameters } from '../hooks/use-search-parameters.js';
import { useTitle } from '../hooks/use-title.js';
import { AuditTable } from '../ui/audit-table.js';
import { fieldsOf } from '../ui/form.js';

const FIELDS = [
  ['actor', 'Who', 'search'],
  ['action', 'What, as device.block', 'search'],
  ['target', 'To', 'search'],
  ['since', 'From', 'datetime-local'],
  ['until', 'Until', 'datetime-local'],
] as const;

/** Who did what. */
export function AuditPage() {
  useTitle('Audit');
  const [parameters, setParameters] = useSearchParameters();
  const given = Object.fromEntries(FIELDS.map(([name]) => [name, parameters.get(name) ?? '']));
  const filter = (event: SubmitEvent): void => {
    event.preventDefault();
    const fields = fieldsOf(event.currentTarget as HTMLFormElement);
    const typed = FIELDS.map(([name]) => [name, fields(name).trim()]);
    setParameters(() => new URLSearchParams(typed.filter(([, value]) => value !== '')));
  };
  const times = { since: utcOf(given['since']), until: utcOf(given['until']) };
  return (
    <>
      <h1>Audit</h1>
      <form class="row filter" role="search" onSubmit={filter}>
        {FIELDS.map(([name, title, type]) => (
          <label key={name}>
            {title}
            <input key={given[name]} type={type} name={name} defaultValue={given[name]} />
          </label>
        ))}
        <button type="submit">Filter</button>
      </form>
      <AuditTable path={`audit${query({ ...given, ...times })}`} isFiltered={parameters.size > 0} />
    </>
  );
}

/** A time of the viewer's zone, as it is typed, for the API. Undefined: none. */
function utcOf(local = ''): string | undefined {
  const time = Date.parse(local);
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}
