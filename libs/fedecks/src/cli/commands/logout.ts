import { type Command } from '../command.js';
import { EXIT } from '../exit.js';
import { LOGIN_OPTIONS, loginOf, tokenStoreOf } from '../logins.js';

export const logout: Command = {
  name: 'logout',
  usage: '[--url URL --id ID]',
  about: 'Forgets the token of the last login, or of the one named. The cloud is not told.',
  operands: [0, 0],
  options: { url: LOGIN_OPTIONS.url, id: LOGIN_OPTIONS.id },
  examples: ['fedecks logout'],
  async run(args) {
    const login = await loginOf(args);
    await tokenStoreOf(login).remove();
    process.stdout.write(`The token of ${login.deviceId} at ${login.url} is forgotten.\n`);
    return EXIT.ok;
  },
};
