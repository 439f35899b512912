import { type Command } from '../command.js';
import { EXIT } from '../exit.js';
import { LOGIN_OPTIONS, loginOf, tokenStoreOf } from '../logins.js';

export const logout: Command = {
  name: 'logout',
  usage: '[--url URL --id ID]',
  about:
    'Deletes the token of the last login, or of the given one, on this machine only: the cloud is not informed.',
  operands: [0, 0],
  options: { url: LOGIN_OPTIONS.url, id: LOGIN_OPTIONS.id },
  examples: ['fedecks logout'],
  async run(args) {
    const login = await loginOf(args);
    await tokenStoreOf(login).remove();
    process.stdout.write(`Deleted the token of ${login.deviceId} at ${login.url}.\n`);
    return EXIT.ok;
  },
};
