import { useState } from 'preact/hooks';
import { api, path } from '../api.js';
import { usePages } from '../hooks/use-pages.js';
import { useShownOnce } from '../hooks/use-shown-once.js';
import { useTitle } from '../hooks/use-title.js';
import { type ApiKey } from '../types.js';
import { Confirm } from '../ui/confirm.js';
import { Copy } from '../ui/copy.js';
import { Empty } from '../ui/empty.js';
import { type Fields, Form } from '../ui/form.js';
import { attempt } from '../ui/notices.js';
import { RoleChoice } from '../ui/role-choice.js';
import { PagedTable } from '../ui/table.js';
import { Time } from '../ui/time.js';

interface NewKey {
  readonly name: string;
  readonly key: string;
}

/** Keys for programs that use the API. */
export function ApiKeysPage() {
  useTitle('API keys');
  const keys = usePages<ApiKey>('api-keys');
  const [made, setMade] = useShownOnce<NewKey>('api-key');
  const [deleted, setDeleted] = useState<string>();

  const add = async (fields: Fields, form: HTMLFormElement): Promise<void> => {
    const day = fields('expires');
    // The end of that day, where the viewer is.
    const expiresAt = day === '' ? undefined : new Date(`${day}T24:00`).toISOString();
    setMade(await api<NewKey>('POST', 'api-keys', { name: fields('name'), role: fields('role'), expiresAt }));
    form.reset();
    void keys.reload();
  };
  const remove = async (name: string): Promise<void> => {
    setDeleted(undefined);
    await attempt(() => api('DELETE', path`api-keys/${name}`), `The key ${name} is deleted.`);
    void keys.reload();
  };

  return (
    <>
      <h1>API keys</h1>
      {made && <ShownKey made={made} onClose={() => setMade(undefined)} />}
      <PagedTable
        caption="API keys"
        pages={keys}
        keyOf={({ name }) => name}
        empty={<Empty title="No key yet">A program that uses the API needs one: add it below.</Empty>}
        columns={[
          { title: 'Name', cell: ({ name }) => name },
          { title: 'Role', cell: ({ role }) => role },
          {
            title: 'Made',
            cell: ({ createdAt, createdBy }) => (
              <>
                <Time at={createdAt} /> by {createdBy}
              </>
            ),
          },
          { title: 'Ends', cell: ({ expiresAt }) => <Time at={expiresAt} /> },
          { title: 'Last used', cell: ({ lastUsedAt }) => <Time at={lastUsedAt} isRelative /> },
          {
            title: 'Actions',
            isTitleHidden: true,
            cell: ({ name }) => (
              <button
                type="button"
                class="danger"
                aria-label={`Delete the key ${name}`}
                onClick={() => setDeleted(name)}
              >
                Delete
              </button>
            ),
          },
        ]}
      />
      <Form class="card narrow" action="Add" keptAs="API key" onSubmit={add}>
        <h2>Add a key</h2>
        <label>
          Name
          <input name="name" required maxLength={64} autocomplete="off" />
        </label>
        <RoleChoice label="Role" name="role" />
        <label>
          Ends on, if ever
          <input name="expires" type="date" />
        </label>
      </Form>
      {deleted !== undefined && (
        <Confirm
          title={`Delete the key ${deleted}?`}
          action="Delete"
          onConfirm={() => void remove(deleted)}
          onCancel={() => setDeleted(undefined)}
        >
          Programs that use it are refused from now on.
        </Confirm>
      )}
    </>
  );
}

function ShownKey({ made, onClose }: { readonly made: NewKey; readonly onClose: () => void }) {
  return (
    <section class="card" aria-label="The new key">
      <h2>Keep the key {made.name} now: it is shown only once</h2>
      <p>
        <code>{made.key}</code>
      </p>
      <p class="row">
        <Copy text={made.key} />
        <button type="button" onClick={onClose}>
          I have kept it
        </button>
      </p>
    </section>
  );
}
