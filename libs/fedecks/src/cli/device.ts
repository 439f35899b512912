import {
  type ClientEvent,
  explain,
  FedecksClient,
  type FedecksClientOptions,
  InvalidOptionsError,
} from '../client/index.js';
import { Cancelled, CommandError, UsageError } from './exit.js';
import { type Login, proxyOf, tlsOf, tokenStoreOf } from './logins.js';
import { printError } from './printable.js';

/** Shorter than a device's timeout, because a user waits. */
const PATIENCE = { startDelayMs: 0, phaseTimeoutMs: 10_000, upgradeTimeoutMs: 30_000 };

/** The device of a login, not started yet. @throws {UsageError} (rejects) if its URL or id is invalid. */
export async function deviceOf(
  login: Login,
  outbox?: NonNullable<FedecksClientOptions['outbox']>,
): Promise<FedecksClient> {
  const tls = await tlsOf(login);
  try {
    return new FedecksClient({
      url: login.url,
      deviceId: login.deviceId,
      tokenStore: tokenStoreOf(login),
      proxy: proxyOf,
      ...(tls && { tls }),
      ...(outbox !== undefined && { outbox }),
      ...PATIENCE,
    });
  } catch (error) {
    if (error instanceof InvalidOptionsError) throw new UsageError(error.problems.join(' '));
    throw error;
  }
}

/**
 * Starts a device, and resolves when it is connected.
 * @throws {CommandError} (rejects) with the first failure, or when `signal` is aborted.
 */
export function connect(device: FedecksClient, login: Login, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => end(new Cancelled());
    const end = (error?: CommandError): void => {
      events.unsubscribe();
      signal.removeEventListener('abort', onAbort);
      if (error) reject(error);
      else resolve();
    };
    const events = device.events$.subscribe((event) => {
      if (event.type === 'connected') end();
      else if (event.type === 'token_load_failed') printError(event.reason);
      else if (isEnd(event)) end(new CommandError(explainFailure(event, login)));
    });
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) return onAbort();
    device.start().catch((error: unknown) => end(new CommandError(String(error))));
  });
}

function isEnd({ type }: ClientEvent): boolean {
  return ['unregistered', 'connection_failed', 'upgrade_failed', 'connection_lost'].includes(type);
}

/** Why there is no connection, and what to do. */
export function explainFailure(event: ClientEvent, login: Login): string {
  const again = `fedecks login ${login.url} --id ${login.deviceId}`;
  if (event.type === 'unregistered')
    return `No token for ${login.deviceId} at ${login.url}. Log in: ${again}`;
  if (event.type === 'token_refused' || (event.type === 'upgrade_failed' && isRefusal(event))) {
    return `The cloud rejects the token: it has expired or was revoked. Log in again: ${again}`;
  }
  return `${explain(event)}\nWhat to do: fedecks check ${login.url}`;
}

function isRefusal({ status, hasBody }: { readonly status?: number; readonly hasBody?: true }): boolean {
  return status === 403 && hasBody !== true;
}
