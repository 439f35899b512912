import { readFile } from 'node:fs/promises';
import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import {
  type ClientEvent,
  type Credentials,
  FedecksClient,
  LoginFailedError,
} from '@fedecks/nest/client-nest';

/** The first retry comes within a second, the later ones within a minute. */
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** A cloud that said no will say it again, until somebody changes something. */
const REFUSED = 403;

/** Where the credentials of the first login are, if anywhere. */
export class LoginFile {
  constructor(readonly path: string | undefined) {}
}

/**
 * Logs the device in when it has no token, with the credentials of the login file, and tries until it has
 * succeeded: a device may be switched on before its network, or before its file is there. With a token the file is
 * not looked at, so it can be removed after the first login.
 */
@Injectable()
export class FirstLogin implements OnModuleInit {
  /** Settles when there is neither a token nor a login file: nothing can be done then. */
  readonly impossible: Promise<void>;
  private giveUp!: () => void;
  private readonly logger = new Logger('Login');
  private failures = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly client: FedecksClient,
    private readonly file: LoginFile,
  ) {
    this.impossible = new Promise((resolve) => (this.giveUp = resolve));
  }

  onModuleInit(): void {
    this.client.events$.subscribe({
      next: (event) => this.changed(event),
      complete: () => clearTimeout(this.timer),
    });
  }

  private changed(event: ClientEvent): void {
    if (event.type === 'token_stored') this.failures = 0;
    // A login that failed is tried again by the one who sees why it did.
    if (event.type !== 'unregistered' || event.cause === 'login_failed') return;
    const { path } = this.file;
    if (path !== undefined) return this.loginIn(0, path);
    this.logger.error('There is no token, and FEDECKS_LOGIN_FILE is not set: this device cannot log in.');
    this.giveUp();
  }

  private loginIn(delayMs: number, path: string): void {
    this.timer = setTimeout(() => void this.login(path), delayMs);
  }

  private async login(path: string): Promise<void> {
    try {
      await this.client.login(await credentialsIn(path));
      this.logger.log(`Logged in. The token is kept; the login file is no longer needed`);
    } catch (error) {
      const { status } = this.client;
      // Stopped meanwhile, or connected by a login of somebody else's.
      if (status !== 'unregistered') return;
      const refused = error instanceof LoginFailedError && error.status === REFUSED;
      const longestMs = refused ? RETRY_MAX_MS : Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.failures++);
      const delayMs = Math.ceil(longestMs * (0.5 + Math.random() / 2));
      this.logger.warn(`${(error as Error).message} Trying again in ${Math.ceil(delayMs / 1000)} s`);
      this.loginIn(delayMs, path);
    }
  }
}

/** The messages of the errors of `readFile` and `JSON.parse` would show paths and contents: they are not used. */
async function credentialsIn(path: string): Promise<Credentials> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new Error(`The login file cannot be read (${code}).`);
  });
  try {
    return JSON.parse(text) as Credentials;
  } catch {
    throw new Error('The login file is not JSON, such as { "username": "...", "password": "..." }.');
  }
}
