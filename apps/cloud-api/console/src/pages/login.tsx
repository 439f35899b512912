import { api, type Me, me } from '../api.js';
import { useTitle } from '../hooks/use-title.js';
import { Form } from '../ui/form.js';

/** Asks for name and password. */
export function LoginPage() {
  useTitle('Log in');
  return (
    <main class="card">
      <h1>Log in</h1>
      <Form
        action="Log in"
        onSubmit={async (fields) => {
          await api('POST', 'login', { name: fields('name'), password: fields('password') });
          me.value = await api<Me>('GET', 'me');
        }}
      >
        <label>
          Name
          <input name="name" autocomplete="username" required autofocus />
        </label>
        <label>
          Password
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
      </Form>
    </main>
  );
}
