import { type ClientEvent } from '../client/index.js';

/** What the close codes say that a person can do something about (PROTOCOL.md §5). */
const CLOSE_CODES: Readonly<Record<number, string>> = {
  1000: 'in order',
  1001: 'the cloud or a proxy goes away',
  1009: 'a message was too large',
  1011: 'the cloud has failed',
  4000: 'this node of the cloud shuts down',
  4001: 'messages were not read quickly enough',
  4003: 'too many messages were sent',
  4100: 'the token has expired',
  4150: 'the token was revoked',
  4152: 'another connection uses this device id',
};

/** What an event says beside its type, for people; empty where there is nothing. */
export function detailOf(event: ClientEvent): string {
  switch (event.type) {
    case 'unregistered':
      return event.cause;
    case 'connection_scheduled':
      return `in ${(event.delayMs / 1000).toFixed(1)} s (${event.cause})`;
    case 'connecting':
      return `${event.url} with ${event.with}`;
    case 'connection_lost':
      return lossOf(event);
    case 'ignored_frame':
      return `${event.kind}, ${event.bytes} bytes`;
    case 'clone_suspected':
      return 'another machine uses this device id';
    case 'token_refused':
      return event.cause;
    case 'upgrade_failed':
      return (
        event.reason ?? `HTTP status ${event.status}${event.hasBody ? ', with a body: not of the cloud' : ''}`
      );
    case 'connection_failed':
    case 'connection_error':
    case 'token_store_failed':
    case 'token_load_failed':
    case 'observer_failed':
      return event.reason;
    default:
      return '';
  }
}

/** A failure, in words; undefined for all other events. */
export function failureIn(event: ClientEvent): string | undefined {
  const isFailure = /_failed$|_lost$|_error$|_refused$|^clone_suspected$/.test(event.type);
  return isFailure ? `${event.type}: ${detailOf(event)}` : undefined;
}

function lossOf(loss: Extract<ClientEvent, { type: 'connection_lost' }>): string {
  const cause = loss.code === undefined ? loss.cause : `${loss.cause} ${loss.code}`;
  const words = loss.code === undefined ? undefined : CLOSE_CODES[loss.code];
  const unread = loss.unconfirmed === undefined ? [] : [`up to ${loss.unconfirmed} messages were not read`];
  return [words === undefined ? cause : `${cause} (${words})`, ...unread].join(', ');
}
