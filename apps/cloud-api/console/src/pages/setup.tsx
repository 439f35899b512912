import { useLocation } from 'wouter-preact';
import { api, type Me, me } from '../api.js';
import { useTitle } from '../hooks/use-title.js';
import { type Fields, Form } from '../ui/form.js';
import { NewPassword, newPasswordIn } from '../ui/new-password.js';

/** Makes the first admin, with the code of the link that the cloud prints at its first start. */
export function SetupPage() {
  useTitle('Set up');
  const [, go] = useLocation();
  // After the "#", which browsers do not send: the code is in no log.
  const code = location.hash.slice(1);
  const setUp = async (fields: Fields): Promise<void> => {
    await api('POST', 'setup', { code, name: fields('name'), password: newPasswordIn(fields) });
    me.value = await api<Me>('GET', 'me');
    go('/', { replace: true });
  };
  return (
    <main class="card">
      <h1>Set up</h1>
      {code === '' ? (
        <p>Open the link that the cloud printed at its first start: it holds a code.</p>
      ) : (
        <>
          <p>You are the first. Choose the name and the password of an admin.</p>
          <Form action="Set up" onSubmit={setUp}>
            <label>
              Name
              <input name="name" autocomplete="username" required maxLength={64} autofocus />
            </label>
            <NewPassword label="Password" again="The same password again" />
          </Form>
        </>
      )}
    </main>
  );
}
