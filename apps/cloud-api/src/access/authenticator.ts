import { type IncomingHttpHeaders } from 'node:http';
import { Injectable } from '@nestjs/common';
import { ApiKey, presentedKey } from '../api-key/api-key.js';
import { ActorCache } from './actor-cache.js';
import { type Actor } from './actor.js';
import { ApiKeys, isApiKey } from './api-keys.js';
import { hashOfToken, isRandomToken } from './random-token.js';
import { sessionTokenIn } from './session-cookie.js';
import { Sessions } from './sessions.js';

const ENVIRONMENT: Actor = { kind: 'environment', name: 'API_KEY', role: 'admin' };

/** Finds out who makes a request. */
@Injectable()
export class Authenticator {
  constructor(
    private readonly environmentKey: ApiKey,
    private readonly apiKeys: ApiKeys,
    private readonly sessions: Sessions,
    private readonly cache: ActorCache,
  ) {}

  /**
   * Who presents a key or a session cookie; with a key, the cookie does not matter. Undefined: nobody who is known. The key of
   * the environment needs no database. An actor of the kind `operator` has come by a cookie, which a browser sends by itself:
   * callers check the origin of what it changes.
   * @throws what the database throws, and {@link ServiceUnavailableException} (rejects) when too many are looked up.
   */
  async actorOf(headers: IncomingHttpHeaders): Promise<Actor | undefined> {
    const key = presentedKey(headers);
    if (key !== undefined) {
      if (this.environmentKey.is(key)) return ENVIRONMENT;
      if (!isApiKey(key)) return undefined;
      const keyHash = hashOfToken(key);
      return this.cache.find(keyHash, () => this.apiKeys.find(keyHash));
    }
    const token = sessionTokenIn(headers);
    if (token === undefined || !isRandomToken(token)) return undefined;
    const tokenHash = hashOfToken(token);
    return this.cache.find(tokenHash, () => this.sessions.find(tokenHash));
  }
}
