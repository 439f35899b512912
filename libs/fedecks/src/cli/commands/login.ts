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
  about: 'Logs in as device ID, and stores the token. Later commands use this cloud and device.',
  operands: [1, 1],
  options: {
    id: { value: 'ID', help: 'the device id' },
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
    'It stores the token in a file that only you can read (mode 0600), below $XDG_STATE_HOME/fedecks or\n' +
    '~/.local/state/fedecks.\n' +
    'Use an id that no device has: the cloud closes the connection of a device when another one connects with its id.',
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
      throw new CommandError(`Logged in, but could not store the token: ${notStored}`);
    await rememberLogin(chosen);
    process.stdout.write(`Logged in as ${chosen.deviceId}. The token is stored, the credentials are not.\n`);
    return EXIT.ok;
  },
};

function explained(error: unknown, { url, deviceId }: Login): unknown {
  if (error instanceof TermEncodeError) return new CommandError(`Invalid credentials: ${error.message}.`);
  if (!(error instanceof LoginFailedError)) return error;
  const again = error.status === 403 ? ` --id ${deviceId} --login` : '';
  return new CommandError(`${error.message} What to do: fedecks check ${url}${again}`);
}
