import { type ClientEvent } from '@fedecks/nest/client-nest';
import { inVariables } from './tls-files.js';

const BY_CLOSE_CODE: Readonly<Record<number, string>> = {
  1000: 'the cloud has ended it, as it does when it hears nothing for too long',
  1001: 'the cloud or a proxy before it is going away',
  1002: 'the cloud takes what it was sent for a breach of the protocol, or hears nothing',
  1005: 'the cloud has closed it without a reason',
  1007: 'the cloud was sent text that is not UTF-8',
  1008: 'a message was in too many pieces for the cloud',
  1009: 'a message was too large',
  1011: 'the cloud has failed',
  1012: 'the cloud restarts',
  1013: 'the cloud is overloaded',
  4000: 'this node of the cloud shuts down',
  4001: 'this device reads too slowly what it is sent',
  4003: 'this device has sent too many messages at once',
  4100: 'the token has expired',
  4150: 'the cloud has revoked the token',
  4152: 'another machine, or another agent on this one, has connected with this device id',
};

const BY_STATUS: Readonly<Record<number, string>> = {
  200: 'something answers that is no fedecks cloud: look at FEDECKS_URL',
  401: 'a proxy or a captive portal wants a login of its own',
  403: 'the cloud refuses this device, or something before it does',
  404: 'there is no fedecks endpoint at this path: look at FEDECKS_URL',
  407: 'the proxy wants a user name and a password',
  426: 'something on the way has taken out the websocket upgrade',
  429: 'the cloud has too many requests from here',
  500: 'the cloud has failed',
  502: 'the cloud does not answer the proxy before it',
  503: 'the cloud is overloaded, or starting',
  504: 'the cloud does not answer the proxy before it in time',
};

/** What an error code of the system in a reason says. */
const BY_ERROR: readonly (readonly [RegExp, string])[] = [
  [/\bEAI_AGAIN\b/, 'the name server does not answer'],
  [/\b(ENOTFOUND|ENODATA)\b/, 'the name server does not know the name of the cloud'],
  [/\bECONNREFUSED\b/, 'nothing listens at its address and port'],
  [/\b(ENETUNREACH|ENETDOWN|EADDRNOTAVAIL)\b/, 'there is no network'],
  [/\b(EHOSTUNREACH|EHOSTDOWN)\b/, 'no way leads to its address'],
  [/\bETIMEDOUT\b/, 'it does not answer'],
  [/\b(ECONNRESET|EPIPE|socket hang up)\b/, 'the connection was cut'],
];

/** What an event says of a failure, in a sentence for people; undefined for all other events. */
export function sentenceFor(event: ClientEvent): string | undefined {
  switch (event.type) {
    case 'connection_lost':
      return `Connection lost: ${lossOf(event)}${unconfirmedIn(event)}`;
    case 'clone_suspected':
      return 'Another machine uses this device id: give each an id and a login of its own';
    case 'upgrade_failed':
      return event.status === undefined
        ? `The answer was no websocket: ${withWords(event.reason)}`
        : `The cloud was reached and refused: ${byNumber(BY_STATUS, event.status, 'HTTP status')}`;
    case 'connection_failed':
      return `The cloud was not reached: ${withWords(event.reason)}`;
    case 'connection_error':
      return `Connection error: ${withWords(event.reason)}`;
    case 'token_refused':
      return event.cause === 'expired'
        ? 'The cloud refuses the token, which has expired'
        : 'The cloud refuses the token (expired or revoked)';
    case 'token_store_failed':
      return `The stored token could not be changed, so a restart brings the old one back, or none: ${event.reason}`;
    case 'token_load_failed':
      return `The stored token cannot be used: ${event.reason}`;
    case 'observer_failed':
      return `An observer of the client failed: ${event.reason}`;
    default:
      return undefined;
  }
}

function lossOf(loss: Extract<ClientEvent, { type: 'connection_lost' }>): string {
  switch (loss.cause) {
    case 'closed':
      return byNumber(BY_CLOSE_CODE, loss.code, 'close code');
    case 'ended':
      return 'it was ended without a word, by the cloud or something on the way';
    case 'heartbeat_missed':
      return 'nothing came for too long (no answer to a ping)';
    case 'no_token':
      return 'the cloud gave no token after the login';
    case 'new_login':
      return 'dropped for a new login';
  }
}

function unconfirmedIn({ unconfirmed }: Extract<ClientEvent, { type: 'connection_lost' }>): string {
  if (unconfirmed === undefined) return '';
  return `; up to ${unconfirmed === 1 ? '1 message' : `${unconfirmed} messages`} may not have arrived`;
}

function byNumber(words: Readonly<Record<number, string>>, number: number, what: string): string {
  const known = words[number];
  return known === undefined ? `${what} ${number}` : `${known} (${what} ${number})`;
}

/** A reason with what it says in words before it, and with variables in place of the client's options. */
function withWords(reason: string): string {
  const words = BY_ERROR.find(([pattern]) => pattern.test(reason))?.[1];
  return words === undefined ? inVariables(reason) : `${words} (${inVariables(reason)})`;
}
