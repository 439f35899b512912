import { LoginFailedError } from '../../client/index.js';
import { TermEncodeError } from '../../wire/internal.js';
import { type Command } from '../command.js';
import { ASK_OPTION, CREDENTIALS_NOTE, readCredentials } from '../credentials.js';
import { deviceOf } from '../device.js';
import { Cancelled, CommandError, EXIT } from '../exit.js';
import { type Login, rememberLogin, requireId, TLS_OPTIONS, tlsFilesOf } from '../logins.js';

export const login: Command = {
  name: 'login',
  usage: 'URL --id ID [options]',
  about:
    'Logs in at a cloud as the device ID, and keeps the token. The commands that follow are for this cloud and device.',
  operands: [1, 1],
  options: {
    id: { value: 'ID', help: 'what the device calls itself' },
    ask: ASK_OPTION,
    ...TLS_OPTIONS,
  },
  examples: [
    'fedecks login ws://localhost:3000/fedecks/websocket --id poke-1',
    'fedecks login wss://cloud.example.com/fedecks/websocket --id poke-1 --ask serial --ask pin',
    'fedecks login ws://localhost:3000/fedecks/websocket --id poke-1 < credentials.json',
  ],
  notes:
    `${CREDENTIALS_NOTE}\n` +
    'The token is in a file that only you can read (mode 0600), below $XDG_STATE_HOME/fedecks or ~/.local/state/fedecks.\n' +
    'Give the tool an id of its own: a cloud ends the connection of a device when another connects with its id.',
  async run(args, signal) {
    const [url = ''] = args.operands;
    const chosen: Login = { url, deviceId: requireId(args), ...tlsFilesOf(args) };
    const device = await deviceOf(chosen);
    let notStored: string | undefined;
    device.events$.subscribe((event) => {
      if (event.type === 'token_store_failed') notStored = event.reason;
    });
    const credentials = await readCredentials(args.texts('ask'), signal);
    const onAbort = (): void => void device.stop();
    signal.addEventListener('abort', onAbort);
    try {
      if (signal.aborted) throw new Cancelled();
      await device.login(credentials);
    } catch (error) {
      if (signal.aborted) throw new Cancelled();
      throw explained(error, chosen);
    } finally {
      signal.removeEventListener('abort', onAbort);
      await device.stop();
    }
    if (notStored !== undefined)
      throw new CommandError(`Logged in, but the token was not kept: ${notStored}`);
    await rememberLogin(chosen);
    process.stdout.write(`Logged in as ${chosen.deviceId}. The token is kept, the credentials are not.\n`);
    return EXIT.ok;
  },
};

function explained(error: unknown, { url, deviceId }: Login): unknown {
  if (error instanceof TermEncodeError) return new CommandError(`The credentials: ${error.message}.`);
  if (!(error instanceof LoginFailedError)) return error;
  const again = error.status === 403 ? ` --id ${deviceId} --login` : '';
  return new CommandError(`${error.message} What to do: fedecks check ${url}${again}`);
}
