import { type Fields } from './form.js';

/** A new password, typed twice. */
export function NewPassword({ label, again }: { readonly label: string; readonly again: string }) {
  const input = { type: 'password', autocomplete: 'new-password', required: true, minLength: 12 } as const;
  return (
    <>
      <label>
        {label}, at least 12 characters
        <input name="password" {...input} />
      </label>
      <label>
        {again}
        <input name="again" {...input} />
      </label>
    </>
  );
}

/** @throws {Error} unless it was typed twice. */
export function newPasswordIn(fields: Fields): string {
  if (fields('password') !== fields('again')) throw new Error('The two passwords differ.');
  return fields('password');
}
