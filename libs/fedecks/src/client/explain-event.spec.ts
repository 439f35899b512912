import { CLOSE } from '../wire/internal.js';
import { type ClientEvent } from './client-event.js';
import { explain, isFailure } from './explain-event.js';

describe('explain', () => {
  it.each<[ClientEvent, string]>([
    [{ type: 'delivered', id: 'E/0/1', lane: 'log' }, 'The cloud has handled message E/0/1'],
    [
      { type: 'delivery_rejected', id: 'E/0/1', lane: 'log', code: 'no_handler', text: '' },
      'The cloud has no handler for message E/0/1, which is dropped',
    ],
    [
      { type: 'delivery_dropped', id: 'E/0/1', lane: 'log', cause: 'failed', text: 'no database' },
      'Message E/0/1 is dropped: the cloud has failed to handle it five times: no database',
    ],
    [
      { type: 'delivery_failed', id: 'E/0/1', reason: 'TypeError', error: new TypeError('x') },
      'The handler of delivery E/0/1 failed: TypeError',
    ],
    [
      { type: 'delivery_result_dropped', id: 'E/0/1', reason: 'it has 16385 bytes' },
      'The result of delivery E/0/1 is not sent: it has 16385 bytes',
    ],
    [
      { type: 'positions_failed', reason: 'positions is damaged' },
      'There is a problem with the positions of handled deliveries: positions is damaged',
    ],
    [{ type: 'connected' }, 'Connected'],
    [{ type: 'connection_scheduled', delayMs: 340, cause: 'started' }, 'Connecting in 0.3 s'],
    [{ type: 'connection_scheduled', delayMs: 59_700, cause: 'started' }, 'Connecting in 60 s'],
    [{ type: 'connection_scheduled', delayMs: 2_220_000, cause: 'started' }, 'Connecting in 37 min'],
    [
      { type: 'connecting', url: 'wss://cloud.example.com/f?key=hunter2', with: 'token' },
      'Connecting to wss://cloud.example.com/f?... with token',
    ],
    [{ type: 'unregistered', cause: 'no_token' }, 'No token: a login is needed'],
    [{ type: 'unregistered', cause: 'token_expired' }, 'The token has expired: a login is needed'],
    [{ type: 'unregistered', cause: 'logged_out' }, 'Logged out: the token is forgotten'],
    [
      { type: 'connection_failed', reason: 'getaddrinfo EAI_AGAIN cloud.example.com' },
      'The server could not be reached: the name server does not answer: getaddrinfo EAI_AGAIN cloud.example.com',
    ],
    [
      { type: 'connection_failed', reason: "'tls.pins' does not contain its key" },
      "The server could not be reached: 'tls.pins' does not contain its key",
    ],
    [
      { type: 'upgrade_failed', reason: 'no answer' },
      'The server did not answer with a websocket: no answer',
    ],
    [
      { type: 'upgrade_failed', status: 502 },
      'The server refused with HTTP status 502: the reverse proxy cannot reach the cloud: check that the cloud runs, on the port that the proxy uses',
    ],
    [
      { type: 'upgrade_failed', status: 403, hasBody: true },
      'The server refused with HTTP status 403: a proxy, firewall or captive portal rejected the request, not the cloud',
    ],
    [{ type: 'upgrade_failed', status: 418 }, 'The server refused with HTTP status 418'],
    [
      { type: 'connection_lost', cause: 'closed', code: 4152 },
      'Connection lost: another machine, or another program on this one, has connected with this device id (close code 4152)',
    ],
    [
      { type: 'connection_lost', cause: 'closed', code: 1001, unconfirmed: 1 },
      'Connection lost: the cloud or a proxy before it is going away (close code 1001); up to 1 message may not have arrived',
    ],
    [{ type: 'connection_lost', cause: 'closed', code: 4999 }, 'Connection lost: close code 4999'],
    [
      { type: 'connection_lost', cause: 'ended', unconfirmed: 2 },
      'Connection lost: it was ended without a word, by the cloud or something on the way; up to 2 messages may not have arrived',
    ],
    [
      { type: 'clone_suspected' },
      'Another machine uses this device id: give each an id and a login of its own',
    ],
    [{ type: 'token_refused', cause: 'expired' }, 'The cloud refuses the token, which has expired'],
    [{ type: 'token_refused', cause: 'revoked' }, 'The cloud refuses the token (expired or revoked)'],
    [
      { type: 'observer_failed', reason: 'TypeError', error: new TypeError('x') },
      'An observer of the client failed: TypeError',
    ],
    [{ type: 'ignored_frame', kind: 'text', bytes: 7 }, 'A frame from the cloud was ignored: text, 7 bytes'],
  ])('says in words: %j', (event, words) => {
    expect(explain(event)).toBe(words);
  });

  it.each(Object.values(CLOSE))('has words for close code %i', (code) => {
    expect(explain({ type: 'connection_lost', cause: 'closed', code })).toMatch(
      new RegExp(`^Connection lost: .+ \\(close code ${code}\\)$`),
    );
  });
});

describe('isFailure', () => {
  it.each<[ClientEvent, boolean]>([
    [{ type: 'connection_lost', cause: 'ended' }, true],
    [{ type: 'clone_suspected' }, true],
    [{ type: 'delivery_dropped', id: 'E/0/1', lane: 'log', cause: 'full' }, true],
    [{ type: 'delivery_dropped', id: 'E/0/1', lane: 'log', cause: 'replaced' }, false],
    [{ type: 'connected' }, false],
    [{ type: 'unregistered', cause: 'no_token' }, false],
  ])('tells failures from states: %j', (event, expected) => {
    expect(isFailure(event)).toBe(expected);
  });
});
