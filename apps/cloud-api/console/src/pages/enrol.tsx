import { api, path, query } from '../api.js';
import { usePages } from '../hooks/use-pages.js';
import { useParameter } from '../hooks/use-parameter.js';
import { useShownOnce } from '../hooks/use-shown-once.js';
import { useTitle } from '../hooks/use-title.js';
import { type Claim, type NewClaim } from '../types.js';
import { Empty } from '../ui/empty.js';
import { Choice } from '../ui/fields.js';
import { type Fields, Form, listIn } from '../ui/form.js';
import { attempt } from '../ui/notices.js';
import { PagedTable } from '../ui/table.js';
import { Time } from '../ui/time.js';
import { NewClaims } from './enrol/new-claims.js';

const DAY_MS = 86_400_000;
const REFRESH_MS = 10_000;
const ANY = 'any new device';
const STATES = [
  ['', 'All'],
  ['open', 'Open'],
  ['used', 'Used'],
  ['expired', 'Expired'],
] as const;

/** The codes of this session: those made last, and those made before. */
interface Made {
  readonly newest: readonly NewClaim[];
  readonly before: readonly NewClaim[];
}

/** Makes claims, with which devices log in for the first time, and lists those there are. */
export function EnrolPage() {
  useTitle('Enrol devices');
  const [made, setMade] = useShownOnce<Made>('claims');
  const [state, setState] = useParameter('state');
  const claims = usePages<Claim>(`claims${query({ limit: 100, state })}`, { everyMs: REFRESH_MS });

  const enrol = async (fields: Fields, form: HTMLFormElement): Promise<void> => {
    const before = made ? [...made.newest, ...made.before] : [];
    if (made) setMade({ newest: [], before });
    const devices = listIn(fields('devices'), '\n');
    const { items } = await api<{ items: readonly NewClaim[] }>('POST', 'claims', {
      ...(devices.length > 0 ? { devices } : { count: Number(fields('count')) }),
      tags: listIn(fields('tags'), ','),
      expiresInMs: Number(fields('days')) * DAY_MS,
    });
    setMade({ newest: items, before });
    form.reset();
    void claims.reload();
  };
  const remove = async (id: string): Promise<void> => {
    await attempt(() => api('DELETE', path`claims/${id}`), 'The code is deleted.');
    void claims.reload();
  };

  return (
    <>
      <h1>Enrol devices</h1>
      {made && <NewClaims {...made} onClose={() => setMade(undefined)} />}
      <Form class="card" action="Make the codes" keptAs="enrol" onSubmit={enrol}>
        <p>
          Each device gets a code for its first login: <code>device-agent login --claim CODE</code>. After
          that only its token counts.
        </p>
        <label>
          Device ids, one in each line; or leave it empty for codes that any new device may use
          <textarea name="devices" rows={4} spellcheck={false} />
        </label>
        <div class="row">
          <label>
            How many codes, without ids
            <input name="count" type="number" min={1} max={500} defaultValue="1" required />
          </label>
          <label>
            Tags, separated by commas
            <input name="tags" />
          </label>
          <label>
            Good for how many days
            <input name="days" type="number" min={1} max={90} defaultValue="7" required />
          </label>
        </div>
      </Form>
      <div class="row spread">
        <h2>Codes there are</h2>
        <Choice label="State" value={state} options={STATES} onChange={setState} />
      </div>
      <PagedTable
        caption="Claims, the newest first"
        pages={claims}
        keyOf={({ id }) => id}
        empty={<NoClaims isFiltered={state !== ''} />}
        columns={[
          { title: 'For', cell: ({ deviceId }) => deviceId ?? ANY },
          { title: 'State', cell: (claim) => claim.state },
          {
            title: 'Made',
            cell: ({ createdAt, createdBy }) => (
              <>
                <Time at={createdAt} /> by {createdBy}
              </>
            ),
          },
          { title: 'Ends', cell: ({ expiresAt }) => <Time at={expiresAt} isRelative /> },
          {
            title: 'Used',
            cell: ({ usedAt, usedBy }) =>
              usedAt !== null && (
                <>
                  <Time at={usedAt} /> by {usedBy}
                </>
              ),
          },
          {
            title: 'Actions',
            isTitleHidden: true,
            cell: ({ id, state: current, deviceId }) =>
              current === 'open' && (
                <button
                  type="button"
                  aria-label={`Delete the code for ${deviceId ?? ANY}`}
                  onClick={() => void remove(id)}
                >
                  Delete
                </button>
              ),
          },
        ]}
      />
    </>
  );
}

function NoClaims({ isFiltered }: { readonly isFiltered: boolean }) {
  if (isFiltered) return <Empty title="No code in this state">Choose another state.</Empty>;
  return <Empty title="No code yet">Make one above: it is shown once.</Empty>;
}
