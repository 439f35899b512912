import { closeCodeWords } from '../wire/internal.js';
import { type ClientEvent, type ConnectionLoss } from './client-event.js';
import { explainStatus } from './explain.js';

const IS_FAILURE: Readonly<Record<ClientEvent['type'], boolean>> = {
  unregistered: false,
  connection_scheduled: false,
  connecting: false,
  connected: false,
  stopped: false,
  connection_failed: true,
  upgrade_failed: true,
  token_refused: true,
  connection_error: true,
  connection_lost: true,
  clone_suspected: true,
  token_stored: false,
  token_store_failed: true,
  token_load_failed: true,
  observer_failed: true,
  ignored_frame: false,
  delivered: false,
  delivery_rejected: true,
  delivery_expired: true,
  delivery_dropped: true,
  delivery_failed: true,
  delivery_result_dropped: true,
  positions_failed: true,
  outbox_failed: true,
};

/** Whether an event says that something has gone wrong: `details.lastError` explains the last one that does. */
export function isFailure(event: ClientEvent): boolean {
  // That is what a key is for.
  if (event.type === 'delivery_dropped' && event.cause === 'replaced') return false;
  return IS_FAILURE[event.type];
}

/** Says in a sentence for people what has happened, as a log or a status page shows it. */
export function explain(event: ClientEvent): string {
  switch (event.type) {
    case 'unregistered':
      return event.cause === 'logged_out'
        ? 'Logged out: the token is forgotten'
        : `${event.cause === 'token_expired' ? 'The token has expired' : 'No token'}: a login is needed`;
    case 'connection_scheduled':
      return `Connecting in ${durationOf(event.delayMs)}`;
    case 'connecting':
      // What follows in the URL is not needed to find a mistake in it, and may be a key.
      return `Connecting to ${event.url.replace(/\?.*/, '?...')} with ${event.with}`;
    case 'connected':
      return 'Connected';
    case 'stopped':
      return 'Stopped';
    case 'connection_failed':
      return `The server could not be reached: ${explainReason(event.reason)}`;
    case 'upgrade_failed':
      return event.status === undefined
        ? `The server did not answer with a websocket: ${explainReason(event.reason)}`
        : `The server refused with ${explainStatus(event.status, event.hasBody === true)}`;
    case 'token_refused':
      return event.cause === 'expired'
        ? 'The cloud refuses the token, which has expired'
        : 'The cloud refuses the token (expired or revoked)';
    case 'connection_error':
      return `Connection error: ${explainReason(event.reason)}`;
    case 'connection_lost':
      return `Connection lost: ${explainLoss(event)}`;
    case 'clone_suspected':
      return 'Another machine uses this device id: give each an id and a login of its own';
    case 'token_stored':
      return 'A new token is stored';
    case 'token_store_failed':
      return `The stored token could not be changed, so a restart brings the old one back, or none: ${event.reason}`;
    case 'token_load_failed':
      return `The stored token cannot be used: ${event.reason}`;
    case 'observer_failed':
      return `An observer of the client failed: ${event.reason}`;
    case 'ignored_frame':
      return `A frame from the cloud was ignored: ${event.kind}, ${event.bytes} bytes`;
    case 'delivered':
      return `The cloud has handled message ${event.id}`;
    case 'delivery_rejected':
      return event.code === 'no_handler'
        ? `The cloud has no handler for message ${event.id}, which is dropped`
        : `The cloud refuses message ${event.id}, which is dropped: ${event.text}`;
    case 'delivery_expired':
      return `Message ${event.id} has expired before the cloud has handled it`;
    case 'delivery_dropped':
      return `Message ${event.id} is dropped: ${DROPS[event.cause]}${event.text ? `: ${event.text}` : ''}`;
    case 'delivery_failed':
      return `The handler of delivery ${event.id} failed: ${event.reason}`;
    case 'delivery_result_dropped':
      return `The result of delivery ${event.id} is not sent: ${event.reason}`;
    case 'positions_failed':
      return `There is a problem with the positions of handled deliveries: ${event.reason}`;
    case 'outbox_failed':
      return `The outbox has a problem: ${event.reason}`;
  }
}

const DROPS: Readonly<Record<Extract<ClientEvent, { type: 'delivery_dropped' }>['cause'], string>> = {
  full: 'the outbox is full',
  replaced: 'a newer one with its key has replaced it',
  failed: 'the cloud has failed to handle it five times',
  damaged: 'it cannot be read any more',
};

const LOSSES: Readonly<Record<Exclude<ConnectionLoss['cause'], 'closed'>, string>> = {
  ended: 'it was ended without a word, by the cloud or something on the way',
  heartbeat_missed: 'nothing came for too long (no answer to a ping)',
  no_token: 'the cloud gave no token after the login',
  new_login: 'dropped for a new login',
};

/** Why a connection has ended, and what may be lost with it. */
export function explainLoss({ cause, code, unconfirmed }: ConnectionLoss): string {
  const words = cause === 'closed' ? explainCloseCode(code) : LOSSES[cause];
  if (unconfirmed === undefined) return words;
  const messages = unconfirmed === 1 ? '1 message' : `${unconfirmed} messages`;
  return `${words}; up to ${messages} may not have arrived`;
}

function explainCloseCode(code: number): string {
  const words = closeCodeWords(code);
  return words === undefined ? `close code ${code}` : `${words} (close code ${code})`;
}

/** What an error code of the system says. */
const BY_ERROR: readonly (readonly [RegExp, string])[] = [
  [/\bEAI_AGAIN\b/, 'the name server does not answer'],
  [/\b(ENOTFOUND|ENODATA)\b/, 'the name server does not know the name'],
  [/\bECONNREFUSED\b/, 'nothing listens at its address and port'],
  [/\b(ENETUNREACH|ENETDOWN|EADDRNOTAVAIL)\b/, 'there is no network'],
  [/\b(EHOSTUNREACH|EHOSTDOWN)\b/, 'no way leads to its address'],
  [/\bETIMEDOUT\b/, 'it does not answer'],
  [/\b(ECONNRESET|EPIPE|socket hang up)\b/, 'the connection was cut'],
];

function explainReason(reason: string): string {
  const words = BY_ERROR.find(([pattern]) => pattern.test(reason))?.[1];
  return words === undefined ? reason : `${words}: ${reason}`;
}

function durationOf(ms: number): string {
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
