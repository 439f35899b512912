import { readFile } from 'node:fs/promises';
import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import {
  type ClientEvent,
  type Credentials,
  FedecksClient,
  LoginFailedError,
} from '@fedecks/nest/client-nest';
import { inVariables } from './tls-files.js';

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
 * not looked at, so it can be removed after the first login. Without a file, somebody has to come and log it in.
 *
 * A person who does so meanwhile comes first, and who logs the device out is not contradicted.
 */
@Injectable()
export class FirstLogin implements OnModuleInit {
  private readonly logger = new Logger('Login');
  private failures = 0;
  private trying = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly client: FedecksClient,
    private readonly file: LoginFile,
  ) {}

  onModuleInit(): void {
    this.client.events$.subscribe({
      next: (event) => this.changed(event),
      complete: () => clearTimeout(this.timer),
    });
  }

  private changed(event: ClientEvent): void {
    if (event.type === 'token_stored') this.failures = 0;
    if (event.type !== 'unregistered') return;
    clearTimeout(this.timer);
    const { path } = this.file;
    if (path === undefined || event.cause === 'logged_out') {
      return this.logger.warn('This device has no token: log it in with `device-agent login`');
    }
    // The one who tries sees why it failed.
    if (this.trying) return;
    this.loginIn(event.cause === 'login_failed' ? this.nextDelayMs(false) : 0, path);
  }

  private loginIn(delayMs: number, path: string): void {
    this.timer = setTimeout(() => void this.login(path), delayMs);
  }

  private async login(path: string): Promise<void> {
    this.trying = true;
    try {
      const credentials = await credentialsIn(path);
      // Somebody else is logging it in: if that fails, it is told.
      if (this.client.status !== 'unregistered') return;
      await this.client.login(credentials);
      this.logger.log(`Logged in. The token is kept; the login file is no longer needed`);
    } catch (error) {
      // Stopped meanwhile, or connected by a login of somebody else's.
      if (this.client.status !== 'unregistered') return;
      // Ended by a logout.
      if (error instanceof LoginFailedError && error.code === 'superseded') return;
      const refused = error instanceof LoginFailedError && error.status === REFUSED;
      const delayMs = this.nextDelayMs(refused);
      const reason = inVariables(error instanceof Error ? error.message : String(error));
      this.logger.warn(`${reason} Trying again in ${Math.ceil(delayMs / 1000)} s`);
      this.loginIn(delayMs, path);
    } finally {
      this.trying = false;
    }
  }

  private nextDelayMs(refused: boolean): number {
    const longestMs = refused ? RETRY_MAX_MS : Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.failures++);
    return Math.ceil(longestMs * (0.5 + Math.random() / 2));
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
