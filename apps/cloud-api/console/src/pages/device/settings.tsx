import { api, path } from '../../api.js';
import { useStored } from '../../hooks/use-stored.js';
import { mayDo } from '../../roles.js';
import { type DeviceDetail } from '../../types.js';
import { LinesField } from '../../ui/fields.js';
import { Form, jsonIn } from '../../ui/form.js';
import { JsonText } from '../../ui/json.js';
import { tell } from '../../ui/notices.js';

const NOTHING = '{\n  \n}';

/** What the device has reported of its settings, and a change of them, which waits until it is back. */
export function Settings({ device: { id, settings, hello } }: { readonly device: DeviceDetail }) {
  return (
    <>
      <h2>As the device reported them</h2>
      {settings === null ? <p class="quiet">It has not reported any.</p> : <JsonText value={settings} />}
      {mayDo('operator') && <Change id={id} />}
      <h2>What it says of itself</h2>
      {hello === null ? <p class="quiet">It has not said anything.</p> : <JsonText value={hello} />}
    </>
  );
}

function Change({ id }: { readonly id: string }) {
  const [draft, setDraft] = useStored<string>(`settings of ${id}`);
  const change = async (): Promise<void> => {
    await api('PUT', path`devices/${id}/settings`, jsonIn(draft ?? NOTHING));
    setDraft(undefined);
    tell('The change waits for the device: see its deliveries.');
  };
  return (
    <Form action="Change" label="Change of settings" onSubmit={change}>
      <LinesField label="Change, as JSON" rows={6} isCode value={draft ?? NOTHING} onChange={setDraft} />
    </Form>
  );
}
