import { useState } from 'preact/hooks';
import { api, me, path, type Role } from '../api.js';
import { usePages } from '../hooks/use-pages.js';
import { useTitle } from '../hooks/use-title.js';
import { type Operator } from '../types.js';
import { Confirm } from '../ui/confirm.js';
import { Dialog } from '../ui/dialog.js';
import { type Fields, Form } from '../ui/form.js';
import { NewPassword, newPasswordIn } from '../ui/new-password.js';
import { attempt, tell } from '../ui/notices.js';
import { RoleChoice } from '../ui/role-choice.js';
import { PagedTable } from '../ui/table.js';
import { Time } from '../ui/time.js';

/** What is asked before it is done to an operator. */
type Asked =
  | { readonly type: 'delete'; readonly name: string }
  | { readonly type: 'password'; readonly name: string }
  | { readonly type: 'role'; readonly name: string; readonly role: Role };

/** Who logs in, and what they may do. */
export function OperatorsPage() {
  useTitle('Operators');
  const operators = usePages<Operator>('operators');
  const [asked, setAsked] = useState<Asked>();
  const add = async (fields: Fields, form: HTMLFormElement): Promise<void> => {
    const [name, role, password] = [fields('name'), fields('role'), fields('password')];
    await api('POST', 'operators', { name, role, password });
    tell(`${name} may log in now.`);
    form.reset();
    void operators.reload();
  };
  return (
    <>
      <h1>Operators</h1>
      <PagedTable
        caption="Operators"
        pages={operators}
        keyOf={({ name }) => name}
        empty={<p class="quiet">There is none.</p>}
        columns={[
          { title: 'Name', cell: ({ name }) => name },
          {
            title: 'Role',
            cell: ({ name, role }) => (
              <RoleChoice
                label={`Role of ${name}`}
                isLabelHidden
                value={role}
                onChange={(next) => setAsked({ type: 'role', name, role: next })}
              />
            ),
          },
          { title: 'Since', cell: ({ createdAt }) => <Time at={createdAt} /> },
          {
            title: 'Actions',
            isTitleHidden: true,
            cell: ({ name }) => name !== me.value?.name && <Actions name={name} onAsk={setAsked} />,
          },
        ]}
      />
      <Form class="card narrow" action="Add" keptAs="operator" onSubmit={add}>
        <h2>Add an operator</h2>
        <label>
          Name
          <input name="name" required maxLength={64} autocomplete="off" />
        </label>
        <label>
          Password, at least 12 characters
          <input name="password" type="password" required minLength={12} autocomplete="new-password" />
        </label>
        <RoleChoice label="Role" name="role" />
      </Form>
      {asked && (
        <Question
          asked={asked}
          onEnd={() => {
            setAsked(undefined);
            // A role that was chosen and not given is shown as it was.
            void operators.reload();
          }}
        />
      )}
    </>
  );
}

function Actions({ name, onAsk }: { readonly name: string; readonly onAsk: (asked: Asked) => void }) {
  return (
    <span class="row">
      <button type="button" onClick={() => onAsk({ type: 'password', name })}>
        Set the password <span class="hidden">of {name}</span>
      </button>
      <button
        type="button"
        class="danger"
        aria-label={`Delete ${name}`}
        onClick={() => onAsk({ type: 'delete', name })}
      >
        Delete
      </button>
    </span>
  );
}

function Question({ asked, onEnd }: { readonly asked: Asked; readonly onEnd: () => void }) {
  const { name } = asked;
  const act = async (work: () => Promise<unknown>, done: string): Promise<void> => {
    await attempt(work, done);
    onEnd();
  };
  if (asked.type === 'password') return <PasswordDialog name={name} onEnd={onEnd} />;
  if (asked.type === 'delete') {
    return (
      <Confirm
        title={`Delete ${name}?`}
        action="Delete"
        onCancel={onEnd}
        onConfirm={() => void act(() => api('DELETE', path`operators/${name}`), `${name} is deleted.`)}
      >
        All sessions of {name} end. What the audit says of {name} stays.
      </Confirm>
    );
  }
  const { role } = asked;
  return (
    <Confirm
      title={`Make ${name} ${role}?`}
      action={`Make ${role}`}
      onCancel={onEnd}
      onConfirm={() =>
        void act(() => api('PUT', path`operators/${name}/role`, { role }), `${name} is ${role}.`)
      }
    >
      All sessions of {name} end: {name} logs in again.
    </Confirm>
  );
}

function PasswordDialog({ name, onEnd }: { readonly name: string; readonly onEnd: () => void }) {
  return (
    <Dialog title={`Set the password of ${name}`} onClose={onEnd}>
      <Form
        action="Set it"
        onSubmit={async (fields) => {
          await api('PUT', path`operators/${name}/password`, { password: newPasswordIn(fields) });
          tell(`The password of ${name} is set. All sessions of ${name} have ended.`);
          onEnd();
        }}
      >
        <NewPassword label="The new one" again="The new one again" />
      </Form>
    </Dialog>
  );
}
