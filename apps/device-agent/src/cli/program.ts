import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { DEFAULT_CONFIG_FILE, readStateDir, VARIABLES } from '../config.js';
import { socketPath } from '../control/socket-path.js';
import { VERSION } from '../version.js';
import { EXIT, exitHelp, type ExitStatus } from './exit.js';

/** Options of every command. */
interface Common {
  readonly config?: string;
}

/**
 * Runs a command line, and resolves with the exit status. Each command is loaded when it is asked for: one that talks
 * to the running agent loads nothing of the agent itself.
 * @throws {CommandError} (rejects) if it cannot be done.
 */
export async function runCommand(argv: readonly string[]): Promise<ExitStatus> {
  try {
    let status: ExitStatus = EXIT.ok;
    await program((ended) => (status = ended)).parseAsync(argv);
    return status;
  } catch (error) {
    // It has said what is wrong, or shown the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    throw error;
  }
}

function program(ended: (status: ExitStatus) => void): Command {
  const agent = new Command('device-agent')
    .description(
      'Keeps a device connected to its fedecks cloud. `run` is the agent, the other commands talk to it.',
    )
    .version(VERSION)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', examples('device-agent run', 'device-agent login', 'device-agent status'))
    // Of every command.
    .addHelpText('afterAll', `\n${exitHelp()}`);
  const socket = async ({ config }: Common): Promise<string> => socketPath(await readStateDir(config));

  command(agent, 'run')
    .summary('run the agent, until a signal stops it')
    .description('Runs the agent in the foreground. Without a token it waits for `device-agent login`.')
    .addHelpText(
      'after',
      examples('FEDECKS_URL=wss://cloud.example.com/fedecks/websocket device-agent run') +
        `\n\nConfiguration, from the environment or a file of NAME=value lines; the environment takes precedence:\n` +
        Object.entries(VARIABLES)
          .map(([name, meaning]) => `  ${name.padEnd(24)}${meaning}`)
          .join('\n') +
        '\n  https_proxy, http_proxy, all_proxy, no_proxy: the proxy to connect through',
    )
    .action(async ({ config }: Common) => {
      const { run } = await import('./run.js');
      ended(await run(config));
    });

  command(agent, 'login')
    .summary('log the device in')
    .description(
      'Logs the device in to its cloud. Asks for username and password, or with --claim for a claim code, unless an ' +
        'option gives them.',
    )
    .option('--claim [code]', 'log in with a claim code, which works once; without a code: ask for it')
    .option('--credentials-file <file>', 'read the credentials (a JSON object) from this file')
    .option('--stdin', 'read the credentials (a JSON object) from standard input; with --claim: the code')
    .addHelpText(
      'after',
      examples(
        'device-agent login',
        'device-agent login --claim 7K3M-9QTX-0ABC-WV5N',
        'device-agent login --credentials-file login.json',
        'device-agent login --stdin < login.json',
      ) + '\n\nThe file: { "username": "...", "password": "..." }, or whatever fields the cloud requires.',
    )
    .action(
      async (
        options: Common & { credentialsFile?: string; stdin?: boolean; claim?: string | true },
        self: Command,
      ) => {
        const { credentialsFile, stdin, claim } = options;
        if (credentialsFile !== undefined && stdin)
          self.error('error: use either --credentials-file or --stdin, not both');
        if (claim !== undefined && credentialsFile !== undefined)
          self.error('error: use either --claim or --credentials-file, not both');
        if (typeof claim === 'string' && stdin)
          self.error('error: use either --claim CODE or --claim --stdin, not both');
        const { login } = await import('./login.js');
        await login(await socket(options), options);
      },
    );

  command(agent, 'status')
    .summary('show the state of the agent')
    .description(
      `Shows the state of the running agent. Exits with ${EXIT.ok} only if it is connected, so it works as a health check.`,
    )
    .option('--json', 'print a JSON object, for programs')
    .addHelpText('after', examples('device-agent status', 'device-agent status --json | jq -r .state'))
    .action(async (options: Common & { json?: boolean }) => {
      const { status } = await import('./status.js');
      ended(await status(await socket(options), options));
    });

  command(agent, 'send')
    .summary('send an event to the cloud')
    .description(
      'Sends an event on the current connection, and fails if the agent is not connected. ' +
        'Success means that the agent wrote the event, not that the cloud handled it.',
    )
    .argument('<event>', 'the name of the event')
    .argument('[json]', 'the payload of the event', parseJson, null)
    .addHelpText('after', examples('device-agent send inspected', `device-agent send door '{"open":true}'`))
    .action(async (event: string, payload: unknown, options: Common) => {
      const { send } = await import('./send.js');
      await send(await socket(options), event, payload);
    });

  command(agent, 'logout')
    .summary('delete the token, and disconnect')
    .description('Deletes the token and disconnects, until the next login.')
    .addHelpText('after', examples('device-agent logout'))
    .action(async (options: Common) => {
      const { logout } = await import('./logout.js');
      await logout(await socket(options));
    });

  command(agent, 'logs')
    .summary('show what the agent has logged')
    .description('Shows the newest log lines of the running agent. It keeps 500 in memory.')
    .option('-n, --lines <number>', 'how many lines', parseCount, 50)
    .option('-f, --follow', 'then show new lines, until Ctrl-C')
    .addHelpText('after', examples('device-agent logs', 'device-agent logs --lines 5 --follow'))
    .action(async (options: Common & { lines: number; follow?: boolean }) => {
      const { logs } = await import('./logs.js');
      await logs(await socket(options), options);
    });

  return agent;
}

function command(agent: Command, name: string): Command {
  return agent
    .command(name)
    .option(
      '-c, --config <file>',
      `read the configuration from this file (default: ${DEFAULT_CONFIG_FILE}, if it exists)`,
    );
}

function examples(...lines: readonly string[]): string {
  return ['\nExamples:', ...lines.map((line) => `  ${line}`)].join('\n');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError(`The payload must be JSON. Put a string in double quotes: '"text"'.`);
  }
}

function parseCount(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}
