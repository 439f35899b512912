import { api } from '../api.js';
import { useTitle } from '../hooks/use-title.js';
import { Form } from '../ui/form.js';
import { NewPassword, newPasswordIn } from '../ui/new-password.js';
import { tell } from '../ui/notices.js';

/** Changes the password of who is logged in. */
export function MyPasswordPage() {
  useTitle('My password');
  return (
    <section class="card narrow">
      <h1>My password</h1>
      <Form
        action="Change it"
        onSubmit={async (fields, form) => {
          const newPassword = newPasswordIn(fields);
          await api('PUT', 'me/password', { oldPassword: fields('oldPassword'), newPassword });
          form.reset();
          tell('Your password is changed. Your other sessions have ended.');
        }}
      >
        <label>
          The old one
          <input name="oldPassword" type="password" autocomplete="current-password" required />
        </label>
        <NewPassword label="The new one" again="The new one again" />
      </Form>
    </section>
  );
}
