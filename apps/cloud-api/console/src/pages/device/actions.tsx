import { useState } from 'preact/hooks';
import { useLocation } from 'wouter-preact';
import { api, path } from '../../api.js';
import { mayDo } from '../../roles.js';
import { type DeviceDetail } from '../../types.js';
import { Confirm } from '../../ui/confirm.js';
import { attempt } from '../../ui/notices.js';

type Action = 'restart' | 'disconnect' | 'block' | 'unblock' | 'revoke' | 'delete';

interface Meaning {
  readonly title: string;
  /** For the question before. */
  readonly meaning: string;
  readonly done: string;
}

const ACTIONS: Readonly<Record<Action, Meaning>> = {
  restart: {
    title: 'Restart',
    meaning: 'The agent ends, and is started again by its supervisor.',
    done: 'restarts',
  },
  disconnect: { title: 'Disconnect', meaning: 'It connects again within seconds.', done: 'is disconnected' },
  block: {
    title: 'Block',
    meaning: 'It is disconnected, its tokens count no more, and it is refused until it is unblocked.',
    done: 'is blocked',
  },
  unblock: {
    title: 'Unblock',
    meaning: 'It may log in again, with a new claim or its password.',
    done: 'is unblocked',
  },
  revoke: {
    title: 'Revoke',
    meaning: 'It is disconnected, and its tokens count no more: it has to log in again.',
    done: 'is revoked',
  },
  delete: {
    title: 'Delete',
    meaning: 'All that is known of it is deleted. This cannot be undone.',
    done: 'is deleted',
  },
};

interface Props {
  readonly device: DeviceDetail;
  readonly onChange: () => void;
}

/** The buttons for what can be done to a device. */
export function DeviceActions({ device, onChange }: Props) {
  const [, go] = useLocation();
  const [asked, setAsked] = useState<Action>();
  if (!mayDo('operator')) return null;
  const run = async (action: Action): Promise<void> => {
    setAsked(undefined);
    const { id } = device;
    const act = (): Promise<unknown> =>
      action === 'delete' ? api('DELETE', path`devices/${id}`) : api('POST', path`devices/${id}/${action}`);
    if (!(await attempt(act, `${id} ${ACTIONS[action].done}.`))) return;
    if (action === 'delete') go('/devices');
    else onChange();
  };
  return (
    <div class="row">
      {offered(device).map((action) => (
        <button
          key={action}
          type="button"
          class={action === 'restart' || action === 'unblock' ? undefined : 'danger'}
          onClick={() => setAsked(action)}
        >
          {ACTIONS[action].title}
        </button>
      ))}
      {asked && (
        <Confirm
          title={`${ACTIONS[asked].title} ${device.id}?`}
          action={ACTIONS[asked].title}
          onConfirm={() => void run(asked)}
          onCancel={() => setAsked(undefined)}
        >
          {ACTIONS[asked].meaning}
        </Confirm>
      )}
    </div>
  );
}

/** What can be done to it now. */
function offered({ state, blocked }: DeviceDetail): readonly Action[] {
  return [
    ...(state === 'online' ? (['restart', 'disconnect'] as const) : []),
    blocked ? 'unblock' : 'block',
    'revoke',
    ...(mayDo('admin') ? (['delete'] as const) : []),
  ];
}
