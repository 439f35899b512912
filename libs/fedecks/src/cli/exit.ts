/** How `fedecks` ends: its exit statuses. The help shows them in these words. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  dns: 3,
  tcp: 4,
  proxy: 5,
  tls: 6,
  upgrade: 7,
  refused: 8,
  noResult: 9,
  unknown: 10,
  cancelled: 130,
} as const;

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

const MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'done; `listen`, `tail` and `request --stream`: ended by Ctrl-C',
  failure: 'not done, as the message says',
  usage: 'the command line is wrong',
  dns: '`check`: the name of the host is not known',
  tcp: '`check`: nothing can be reached at its address and port',
  proxy: '`check`: the proxy cannot be reached, or refuses',
  tls: '`check`: TLS failed, or the certificate is not trusted',
  upgrade: '`check`: what answers does not answer as a fedecks cloud',
  refused: '`check`: the cloud refuses the credentials or the token',
  noResult: '`request`: the cloud answered that there is no result',
  unknown: '`request`: sent, but no answer came: whether it was handled is not known',
  cancelled: 'Ctrl-C before it was done',
};

/** The table of the help. */
export function exitHelp(): string {
  const names = Object.keys(EXIT) as (keyof typeof EXIT)[];
  return ['Exit status:', ...names.map((name) => `  ${String(EXIT[name]).padEnd(5)}${MEANINGS[name]}`)].join(
    '\n',
  );
}

/** A command that cannot do what it was asked to: its message is shown, and the process ends with its status. */
export class CommandError extends Error {
  constructor(
    message: string,
    readonly status: ExitStatus = EXIT.failure,
  ) {
    super(message);
  }
}

/** A command line that is wrong. */
export class UsageError extends CommandError {
  constructor(message: string) {
    super(message, EXIT.usage);
  }
}

/** Ctrl-C, where it leaves something undone. */
export class Cancelled extends CommandError {
  constructor() {
    super('Cancelled.', EXIT.cancelled);
  }
}
