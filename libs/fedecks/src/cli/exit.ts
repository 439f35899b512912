/** The exit statuses of `fedecks`. */
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
  notHandled: 11,
  cancelled: 130,
} as const;

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

const MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'success; `listen`, `tail` and `request --stream`: stopped by Ctrl-C',
  failure: 'failure: see the message',
  usage: 'the command line is wrong',
  dns: '`check`: the host name does not resolve',
  tcp: '`check`: the address and port are unreachable',
  proxy: '`check`: the proxy is unreachable, or rejects the request',
  tls: '`check`: TLS failed, or the certificate is not trusted',
  upgrade: '`check`: the server is not a fedecks cloud',
  refused: '`check`: the cloud rejects the credentials or the token',
  noResult: '`request`: the cloud answered with an error: see the message',
  unknown: '`request`: sent, but no answer came: it may have been handled',
  notHandled: '`deliver`: the message was rejected, has expired or was dropped',
  cancelled: 'interrupted by Ctrl-C',
};

/** The table of exit statuses for the help; `docs/reference/cli.md` repeats it. */
export function exitHelp(): string {
  const names = Object.keys(EXIT) as (keyof typeof EXIT)[];
  return ['Exit status:', ...names.map((name) => `  ${String(EXIT[name]).padEnd(5)}${MEANINGS[name]}`)].join(
    '\n',
  );
}

/** A failed command: the program prints the message and exits with the status. */
export class CommandError extends Error {
  constructor(
    message: string,
    readonly status: ExitStatus = EXIT.failure,
  ) {
    super(message);
  }
}

/** A wrong command line. */
export class UsageError extends CommandError {
  constructor(message: string) {
    super(message, EXIT.usage);
  }
}

/** Ctrl-C before the command has finished. */
export class Cancelled extends CommandError {
  constructor() {
    super('Cancelled.', EXIT.cancelled);
  }
}
