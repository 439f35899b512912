import { useState } from 'preact/hooks';
import { mayDo } from '../../roles.js';
import { type BulkResult } from '../../types.js';
import { Confirm } from '../../ui/confirm.js';
import { countOf } from '../../ui/count.js';
import { Choice, TextField } from '../../ui/fields.js';
import { jsonIn } from '../../ui/form.js';
import { attempt, tell, tellError } from '../../ui/notices.js';
import { hitBy, runBulk } from './bulk.js';
import { type Select } from './selection.js';

const ACTIONS = [
  ['tag', 'Add a tag'],
  ['untag', 'Remove a tag'],
  ['settings', 'Change settings'],
  ['deliver', 'Deliver an event'],
  ['disconnect', 'Disconnect'],
  ['revoke', 'Revoke tokens'],
  ['block', 'Block'],
  ['unblock', 'Unblock'],
  ['delete', 'Delete'],
] as const;
type ActionType = (typeof ACTIONS)[number][0];

const SHOWN_IDS = 5;

/** What is done, as it is typed. */
interface Order {
  readonly type: ActionType;
  readonly tag: string;
  readonly event: string;
  readonly payload: string;
}

/** What waits for a confirmation. */
interface Asked {
  readonly action: object;
  readonly count: number;
}

interface Props {
  readonly select: Select;
  readonly onDone: () => void;
}

/** Does something to the devices that are selected, after it has said to how many. */
export function BulkBar({ select, onDone }: Props) {
  const [order, setOrder] = useState<Order>({ type: 'tag', tag: '', event: '', payload: '' });
  const [asked, setAsked] = useState<Asked>();
  const { type } = order;
  const title = ACTIONS.find(([each]) => each === type)?.[1] ?? '';
  const change = (next: Partial<Order>): void => setOrder({ ...order, ...next });
  const ask = (): Promise<boolean> =>
    attempt(async () => setAsked({ action: actionOf(order), count: await hitBy(select) }));
  const run = async ({ action }: Asked): Promise<void> => {
    setAsked(undefined);
    await attempt(async () => say(await runBulk(select, action)));
    onDone();
  };
  return (
    <form
      class="row card"
      aria-label="Actions for those that are selected"
      onSubmit={(event) => {
        event.preventDefault();
        void ask();
      }}
    >
      <strong>{'ids' in select ? select.ids.length : 'All that match are'} selected</strong>
      <Choice
        label="Action"
        isLabelHidden
        value={type}
        options={ACTIONS.filter(([each]) => each !== 'delete' || mayDo('admin'))}
        onChange={(next) => change({ type: next as ActionType })}
      />
      <Details order={order} onChange={change} />
      <button type="submit" class="primary">
        Go on
      </button>
      {asked && (
        <Confirm
          title={`${title}: ${countOf(asked.count, 'device')}`}
          action={`${title} (${asked.count})`}
          onConfirm={() => void run(asked)}
          onCancel={() => setAsked(undefined)}
        >
          This is done to {countOf(asked.count, 'device')}: {namesOf(select)}
        </Confirm>
      )}
    </form>
  );
}

interface DetailsProps {
  readonly order: Order;
  readonly onChange: (change: Partial<Order>) => void;
}

/** What else the action needs. */
function Details({ order: { type, tag, event, payload }, onChange }: DetailsProps) {
  if (type === 'tag' || type === 'untag')
    return <TextField label="Tag" isRequired value={tag} onChange={(next) => onChange({ tag: next })} />;
  if (type !== 'deliver' && type !== 'settings') return null;
  return (
    <>
      {type === 'deliver' && (
        <TextField label="Event" isRequired value={event} onChange={(next) => onChange({ event: next })} />
      )}
      <TextField
        label={type === 'deliver' ? 'Payload, as JSON' : 'Change, as JSON'}
        isRequired={type === 'settings'}
        value={payload}
        onChange={(next) => onChange({ payload: next })}
      />
    </>
  );
}

/** As the API takes it. */
function actionOf({ type, tag, event, payload }: Order): object {
  if (type === 'tag' || type === 'untag') return { type, tag };
  if (type === 'settings') return { type: 'deliver', event: 'settings', payload: jsonIn(payload) };
  if (type === 'deliver') return { type, event, payload: payload.trim() === '' ? null : jsonIn(payload) };
  return { type };
}

function namesOf(select: Select): string {
  if (!('ids' in select)) return 'all that match the filter now.';
  const more = select.ids.length > SHOWN_IDS ? ', …' : '';
  return `${select.ids.slice(0, SHOWN_IDS).join(', ')}${more}`;
}

function say({ outcomes, failures }: BulkResult): void {
  const counts = Object.entries(outcomes).map(([name, count]) => `${count} ${name}`);
  tell(`Done: ${counts.join(', ')}.`);
  const [first] = failures;
  if (first) tellError(new Error(`${failures.length} failed, the first is ${first.id}: ${first.message}`));
}
