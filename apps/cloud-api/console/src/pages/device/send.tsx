import { useState } from 'preact/hooks';
import { api, ApiError, path } from '../../api.js';
import { useStored } from '../../hooks/use-stored.js';
import { mayDo } from '../../roles.js';
import { Choice, LinesField, TextField } from '../../ui/fields.js';
import { jsonIn } from '../../ui/form.js';
import { JsonText } from '../../ui/json.js';
import { Terms } from './terms.js';

type Way = 'messages' | 'requests' | 'deliveries';

const WAYS = [
  ['requests', 'Request: wait for the answer'],
  ['deliveries', 'Delivery: keep it until it is handled'],
  ['messages', 'Message: send it now, or not at all'],
] as const;

interface Draft {
  readonly way: Way;
  readonly event: string;
  readonly payload: string;
}

const EMPTY: Draft = { way: 'requests', event: '', payload: 'null' };

interface Outcome {
  readonly title: string;
  readonly body: unknown;
}

/** Sends a message, a request or a delivery with any term, and shows the answer. */
export function Send({ id }: { readonly id: string }) {
  const [draft = EMPTY, setDraft] = useStored<Draft>(`message to ${id}`);
  const [outcome, setOutcome] = useState<Outcome>();
  const [isBusy, setBusy] = useState(false);
  if (!mayDo('operator')) return <p>Only operators send to devices: you are a viewer.</p>;
  const { way, event, payload } = draft;
  const change = (change: Partial<Draft>): void => setDraft({ ...draft, ...change });

  const send = async (submitted: SubmitEvent): Promise<void> => {
    submitted.preventDefault();
    setBusy(true);
    setOutcome(undefined);
    setOutcome(await outcomeOf(id, draft));
    setBusy(false);
  };
  return (
    <form onSubmit={(submitted) => void send(submitted)}>
      <Choice label="How" value={way} options={WAYS} onChange={(next) => change({ way: next as Way })} />
      {way !== 'messages' && (
        <TextField label="Event" isRequired value={event} onChange={(next) => change({ event: next })} />
      )}
      <LinesField
        label={`${way === 'messages' ? 'Message' : 'Payload'}, as JSON`}
        rows={6}
        isCode
        value={payload}
        onChange={(next) => change({ payload: next })}
      />
      <Terms />
      <p>
        <button type="submit" class="primary" disabled={isBusy}>
          {isBusy ? 'Waiting for the device…' : 'Send'}
        </button>
      </p>
      <div role="status" aria-label="Outcome">
        {outcome && (
          <>
            <h3>{outcome.title}</h3>
            <JsonText value={outcome.body} />
          </>
        )}
      </div>
    </form>
  );
}

async function outcomeOf(id: string, { way, event, payload }: Draft): Promise<Outcome> {
  try {
    const value = jsonIn(payload);
    const body = way === 'messages' ? value : { event, payload: value };
    return {
      title: 'Answer',
      body: await api('POST', `${path`devices/${id}/${way}`}?terms=tagged`, body),
    };
  } catch (error) {
    if (error instanceof ApiError) return { title: `${error.message} (${error.status})`, body: error.body };
    return { title: 'Nothing was sent', body: (error as Error).message };
  }
}
