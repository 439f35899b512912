import { type ClientEvent, failureIn } from './client-event.js';

it.each<[ClientEvent, string | undefined]>([
  [{ type: 'connected' }, undefined],
  [{ type: 'connection_failed', reason: 'no route' }, 'connection_failed: no route'],
  [{ type: 'upgrade_failed', reason: 'no answer' }, 'upgrade_failed: no answer'],
  [{ type: 'connection_lost', cause: 'closed', code: 1001 }, 'connection_lost: closed 1001'],
  [
    { type: 'connection_lost', cause: 'ended', unconfirmed: 3 },
    'connection_lost: ended, up to 3 messages may not have arrived',
  ],
  [{ type: 'observer_failed', reason: 'TypeError', error: new TypeError('x') }, 'observer_failed: TypeError'],
  [{ type: 'token_refused', cause: 'revoked' }, 'token_refused: revoked'],
])('a failure is told in words: %j', (event, words) => {
  expect(failureIn(event)).toBe(words);
});
