import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import {
  type ClientEvent,
  type Credentials,
  FedecksClient,
  LoginFailedError,
} from '@fedecks/nest/client-nest';
import { type LoginSource } from '../config.js';
import { durationOf } from '../text/duration.js';
import { CLAIM_REJECTED } from './claim-rejected.js';
import { inVariables } from './tls-files.js';

/** The first retry comes within a second, the later ones within a minute. */
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** The slower backoff after a rejected login. */
const REFUSED = 403;
/** A rejected claim does not become right by itself: the backoff doubles from `RETRY_MAX_MS` to an hour. */
const CLAIM_RETRY_MAX_MS = 3_600_000;
/** Credentials have to fit into a header of 1 KB. */
const MAX_FILE_BYTES = 64 * 1024;

/** The {@link LoginSource} of the agent, as a provider. */
export class UnattendedLogin {
  constructor(readonly source: LoginSource) {}
}

/** How the login with the file goes, for the status. */
export interface LoginProgress {
  /** The path of the file, or the name of the variable. */
  readonly file: string;
  /** When it is tried next, by `performance.now()`; undefined while it is being tried. */
  readonly nextTryAt: number | undefined;
  /** Why the last try has failed. */
  readonly lastError: string | undefined;
}

/**
 * Logs the device in with the credentials of the login file when it has no token, or when the cloud refuses the token it
 * has (expired or revoked; it is kept until the login has worked). It tries until it is connected: a device may be
 * switched on before its network, or before its file is there. Otherwise the file is not looked at. Without a file,
 * somebody has to come and log the device in.
 *
 * A claim works once: it is used only while no token is stored.
 *
 * A manual login takes precedence, and a manual logout is not undone.
 */
@Injectable()
export class FileLogin implements OnModuleInit {
  private readonly logger = new Logger('Login');
  private failures = 0;
  /** Rejections of the claim since the last token. */
  private refusals = 0;
  private isTrying = false;
  /** The new token was already rejected, before the attempt has finished. */
  private isNeededAgain = false;
  private connectingWith: 'token' | 'credentials' | undefined;
  private timer: NodeJS.Timeout | undefined;
  private nextTryAt: number | undefined;
  private lastError: string | undefined;

  constructor(
    private readonly client: FedecksClient,
    private readonly unattended: UnattendedLogin,
  ) {}

  onModuleInit(): void {
    this.client.events$.subscribe({
      next: (event) => this.onEvent(event),
      complete: () => this.cancel(),
    });
  }

  /** Undefined while no login with a file is needed. */
  get progress(): LoginProgress | undefined {
    const { source } = this.unattended;
    if (source.type === 'none' || (!this.isTrying && this.timer === undefined)) return undefined;
    const nextTryAt = this.isTrying ? undefined : this.nextTryAt;
    return { file: nameOf(source), nextTryAt, lastError: this.lastError };
  }

  private onEvent(event: ClientEvent): void {
    switch (event.type) {
      case 'token_stored':
        this.failures = 0;
        this.refusals = 0;
        return;
      case 'connecting':
        this.connectingWith = event.with;
        // Somebody logs the device in.
        if (event.with === 'credentials' && !this.isTrying) this.cancel();
        return;
      case 'connected':
        this.isNeededAgain = false;
        return this.cancel();
      case 'token_refused':
        return this.onNeed(0, 'The cloud rejects the token of this device (expired or revoked)', true);
      case 'unregistered':
        this.cancel();
        if (event.cause === 'logged_out') return this.askForPerson('This device has no token');
        return this.onNeed(
          event.cause === 'login_failed' ? this.nextDelayMs(false) : 0,
          event.cause === 'token_expired'
            ? 'The token of this device has expired'
            : 'This device has no token',
          event.cause === 'token_expired',
        );
    }
  }

  /** @param hadToken a claim is not for that: it was used to get the token. */
  private onNeed(delayMs: number, reason: string, hadToken: boolean): void {
    const { source } = this.unattended;
    if (source.type === 'none' || (hadToken && isClaim(source))) return this.askForPerson(reason);
    // The manual login reports its own failure.
    if (this.isTrying) this.isNeededAgain = true;
    else if (this.timer === undefined) this.loginIn(delayMs, source);
  }

  private askForPerson(reason: string): void {
    this.logger.warn(`${reason}: log it in with \`device-agent login\``);
  }

  private cancel(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private loginIn(delayMs: number, source: Configured): void {
    this.cancel();
    this.nextTryAt = performance.now() + delayMs;
    this.timer = setTimeout(() => void this.login(source), delayMs);
  }

  private async login(source: Configured): Promise<void> {
    this.timer = undefined;
    this.isTrying = true;
    try {
      const credentials = await credentialsOf(source);
      if (this.isSettled()) return;
      await this.client.login(credentials);
      this.lastError = undefined;
      this.logger.log(`Logged in with ${isClaim(source) ? 'the claim code' : 'the login file'}`);
      if (this.isNeededAgain && !isClaim(source)) this.loginIn(0, source);
    } catch (error) {
      // By a login of somebody else's.
      if (this.isSettled()) return;
      // Ended by a logout, or by somebody else's login, which tells how it ends.
      if (error instanceof LoginFailedError && error.code === 'superseded') return;
      const isRefused = error instanceof LoginFailedError && error.status === REFUSED;
      const delayMs = this.nextDelayMs(isRefused, isClaim(source));
      this.lastError =
        isRefused && isClaim(source)
          ? CLAIM_REJECTED
          : inVariables(error instanceof Error ? error.message : String(error));
      this.logger.warn(`${this.lastError} Trying again in ${durationOf(delayMs)}`);
      this.loginIn(delayMs, source);
    } finally {
      this.isTrying = false;
    }
  }

  /** Nothing is left to do where the device is connected or has stopped, or somebody else is logging it in. */
  private isSettled(): boolean {
    const { status } = this.client;
    if (status === 'connecting') return this.connectingWith === 'credentials';
    return status === 'connected' || status === 'stopped';
  }

  private nextDelayMs(isRefused: boolean, isClaimed = false): number {
    return Math.ceil(this.longestDelayMs(isRefused, isClaimed) * (0.5 + Math.random() / 2));
  }

  private longestDelayMs(isRefused: boolean, isClaimed: boolean): number {
    if (!isRefused) return Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.failures++);
    return isClaimed ? Math.min(CLAIM_RETRY_MAX_MS, RETRY_MAX_MS * 2 ** this.refusals++) : RETRY_MAX_MS;
  }
}

type Configured = Exclude<LoginSource, { readonly type: 'none' }>;

function isClaim({ type }: LoginSource): boolean {
  return type === 'claim' || type === 'claim_file';
}

/** As the status shows it: never the code itself. */
function nameOf(source: Configured): string {
  return source.type === 'claim' ? 'FEDECKS_CLAIM' : source.path;
}

/** The messages of the errors of a read and of `JSON.parse` would show paths and contents: they are not used. */
async function credentialsOf(source: Configured): Promise<Credentials> {
  if (source.type === 'claim') return { claim: source.code };
  const isClaimFile = source.type === 'claim_file';
  const what = isClaimFile ? 'claim' : 'login';
  const { path } = source;
  const text = await readLoginFile(path).catch((error: unknown) => {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new Error(`The agent cannot read the ${what} file (${code}).`);
  });
  if (text === undefined)
    throw new Error(`The ${what} file must be a regular file of at most ${MAX_FILE_BYTES} bytes.`);
  if (isClaimFile) {
    if (text.trim() === '') throw new Error('The claim file is empty: write a claim code into it.');
    return { claim: text.trim() };
  }
  try {
    return JSON.parse(text) as Credentials;
  } catch {
    throw new Error('The login file must be JSON, for example { "username": "...", "password": "..." }.');
  }
}

/** Undefined if it is no file, or too large. A FIFO would hang whoever opens it. */
async function readLoginFile(path: string): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await file.stat();
    return stats.isFile() && stats.size <= MAX_FILE_BYTES ? await file.readFile('utf8') : undefined;
  } finally {
    await file.close();
  }
}
