import { useRef } from 'preact/hooks';
import { api, path } from '../../api.js';
import { useStored } from '../../hooks/use-stored.js';
import { mayDo } from '../../roles.js';
import { type DeviceDetail } from '../../types.js';
import { LinesField, TextField } from '../../ui/fields.js';
import { attempt } from '../../ui/notices.js';
import { listIn } from '../../ui/form.js';

/** What was typed and not saved; what is left out is as in the cloud. */
interface Draft {
  readonly name?: string;
  readonly tags?: string;
  readonly notes?: string;
}

interface Props {
  readonly device: DeviceDetail;
  readonly onChange: () => void;
}

/** What operators write about the device. */
export function NameAndTags({ device, onChange }: Props) {
  const { id, name, tags, notes } = device;
  const [draft = {}, setDraft] = useStored<Draft>(`name and tags of ${id}`);
  const latest = useRef(draft);
  latest.current = draft;
  const isReadOnly = !mayDo('operator');
  const isChanged = Object.keys(draft).length > 0;
  const type = (field: keyof Draft) => (value: string) => setDraft({ ...draft, [field]: value });
  const save = async (): Promise<void> => {
    // What somebody else has changed meanwhile, and was not typed here, stays.
    const change = {
      ...(draft.name !== undefined && { name: draft.name === '' ? null : draft.name }),
      ...(draft.tags !== undefined && { tags: listIn(draft.tags, ',') }),
      ...(draft.notes !== undefined && { notes: draft.notes }),
    };
    if (!(await attempt(() => api('PATCH', path`devices/${id}`, change), 'Saved.'))) return;
    // What was typed meanwhile stays.
    const typed = Object.entries(latest.current).filter(
      ([field, text]) => text !== draft[field as keyof Draft],
    );
    setDraft(typed.length > 0 ? Object.fromEntries(typed) : undefined);
    onChange();
  };
  return (
    <form
      class="card"
      aria-label="Name, tags and notes"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <TextField
        label="Name"
        isReadOnly={isReadOnly}
        value={draft.name ?? name ?? ''}
        onChange={type('name')}
      />
      <TextField
        label="Tags, separated by commas"
        isReadOnly={isReadOnly}
        value={draft.tags ?? tags.join(', ')}
        onChange={type('tags')}
      />
      <LinesField
        label="Notes"
        rows={3}
        isReadOnly={isReadOnly}
        value={draft.notes ?? notes}
        onChange={type('notes')}
      />
      {!isReadOnly && (
        <p class="row">
          <button type="submit">Save</button>
          {isChanged && (
            <>
              <button type="button" onClick={() => setDraft(undefined)}>
                Undo
              </button>
              <span class="quiet">Not yet saved.</span>
            </>
          )}
        </p>
      )}
    </form>
  );
}
