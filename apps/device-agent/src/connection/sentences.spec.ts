import { type ClientEvent } from '@fedecks/nest/client-nest';
import { sentenceFor } from './sentences.js';

describe('sentenceFor', () => {
  it.each<[ClientEvent, string]>([
    [
      { type: 'connection_failed', reason: 'getaddrinfo EAI_AGAIN cloud.example.com' },
      'The cloud was not reached: the name server does not answer (getaddrinfo EAI_AGAIN cloud.example.com)',
    ],
    [
      { type: 'connection_failed', reason: 'connect ECONNREFUSED ::1:9, connect ECONNREFUSED 127.0.0.1:9' },
      'The cloud was not reached: nothing listens at its address and port (connect ECONNREFUSED ::1:9, connect ECONNREFUSED 127.0.0.1:9)',
    ],
    [
      { type: 'connection_failed', reason: "'tls.pins' does not contain its key" },
      'The cloud was not reached: FEDECKS_PINS does not contain its key',
    ],
    [
      { type: 'upgrade_failed', status: 404 },
      'The cloud was reached and refused: there is no fedecks endpoint at this path: look at FEDECKS_URL (HTTP status 404)',
    ],
    [{ type: 'upgrade_failed', status: 418 }, 'The cloud was reached and refused: HTTP status 418'],
    [
      { type: 'connection_lost', cause: 'ended', unconfirmed: 2 },
      'Connection lost: it was ended without a word, by the cloud or something on the way; up to 2 messages may not have arrived',
    ],
    [
      { type: 'clone_suspected' },
      'Another machine uses this device id: give each an id and a login of its own',
    ],
    [
      { type: 'connection_lost', cause: 'closed', code: 4152 },
      'Connection lost: another machine, or another agent on this one, has connected with this device id (close code 4152)',
    ],
    [{ type: 'connection_lost', cause: 'closed', code: 4999 }, 'Connection lost: close code 4999'],
    [
      { type: 'connection_lost', cause: 'heartbeat_missed' },
      'Connection lost: nothing came for too long (no answer to a ping)',
    ],
    [{ type: 'token_refused', cause: 'revoked' }, 'The cloud refuses the token (expired or revoked)'],
  ])('explains %j', (event, sentence) => {
    expect(sentenceFor(event)).toBe(sentence);
  });

  it('returns nothing for an event that is not a failure', () => {
    expect(sentenceFor({ type: 'connected' })).toBeUndefined();
  });
});
