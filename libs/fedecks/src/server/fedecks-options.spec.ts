import { DelegatingStore } from '../../test/support/delegating-store.js';
import { InvalidOptionsError } from '../options/index.js';
import { type BackplaneEndpoint, InProcessBackplane } from './backplane.js';
import { MemoryDeliveryStore } from './deliveries/delivery-store.js';
import { MemoryRevocations } from './revocations.js';
import { type FedecksOptions, resolveOptions } from './fedecks-options.js';

const secret = 's'.repeat(32);
const authenticator = { authenticate: () => true };

function problems(options: object): string {
  try {
    resolveOptions(options as FedecksOptions);
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.message;
    throw error;
  }
  return '';
}

describe('resolveOptions', () => {
  it('applies the documented defaults', () => {
    expect(resolveOptions({ secrets: [secret], authenticator })).toMatchObject({
      path: '/fedecks',
      secrets: [secret],
      authenticator,
      guards: [],
      tokenRefreshMs: 3 * 3600 * 1000,
      tokenExpiryMs: 28 * 24 * 3600 * 1000,
      idleTimeoutMs: 60_000,
      maxFrameBytes: 262_144,
      upgradeTimeoutMs: 10_000,
      mailboxLimit: 64,
      maxBufferedBytes: 1_048_576,
      duplicates: 'newest',
      clones: 'report',
      messagesPerSecond: 1_000,
      upgradesPerSecond: 1_000,
      upgradesPerAddressPerMinute: 6_000,
      trustedProxies: [],
      revocations: MemoryRevocations,
      deliveryStore: MemoryDeliveryStore,
      phoenix: undefined,
      drainMs: 5_000,
    });
  });

  it('treats undefined as not given', () => {
    expect(resolveOptions({ secrets: [secret], authenticator, idleTimeoutMs: undefined }).idleTimeoutMs).toBe(
      60_000,
    );
  });

  it.each([
    ['a missing array', {}],
    ['an empty array', { secrets: [] }],
  ])('says how to give secrets for %s', (_what, given) => {
    expect(problems({ authenticator, ...given })).toContain(
      "'secrets' must be an array with at least one secret",
    );
  });

  it('says which secret to set when one is missing or shorter than 32 bytes, without showing it', () => {
    const message = problems({ authenticator, secrets: [secret, undefined, 'hunter2hunter2'] });
    expect(message).toContain('secrets[1] is missing or empty: set it to at least 32 bytes');
    expect(message).toContain('secrets[2] has 14 bytes');
    expect(message).not.toContain('hunter2');
  });

  it('counts the bytes of a secret, not its characters', () => {
    expect(problems({ authenticator, secrets: ['é'.repeat(16)] })).toBe('');
    expect(problems({ authenticator, secrets: ['é'.repeat(15)] })).toContain('has 30 bytes');
  });

  it.each(['fedecks', '/', '/fedecks/', '/fedecks?x', '/a b', ''])('rejects the path %p', (path) => {
    expect(problems({ secrets: [secret], authenticator, path })).toContain("'path' must start with a slash");
  });

  it.each(['3 bananas', '', 0, -1, NaN, null])('rejects %p as a duration', (tokenRefresh) => {
    expect(problems({ secrets: [secret], authenticator, tokenRefresh })).toContain("'tokenRefresh' must be");
  });

  it('rejects a tokenRefresh greater than tokenExpiry', () => {
    expect(problems({ secrets: [secret], authenticator, tokenRefresh: '2h', tokenExpiry: '1h' })).toContain(
      "'tokenRefresh' must be shorter than 'tokenExpiry'",
    );
  });

  it.each<[string, unknown]>([
    ['phoenix', null],
    ['phoenix', { secret: 'a secret' }],
    ['phoenix', { secret: 'a secret', salt: '' }],
    ['deliveryStore', { claim: () => undefined }],
    ['trustedProxies', 'loopback'],
    ['trustedProxies', ['example.com']],
  ])('rejects the %s %j', (key, value) => {
    expect(problems({ secrets: [secret], authenticator, [key]: value })).toContain(`'${key}' must`);
  });

  it('rejects deliveries in memory together with a backplane, and takes a store of the app', () => {
    const given = {
      secrets: [secret],
      authenticator,
      backplane: (endpoint: BackplaneEndpoint) => new InProcessBackplane(endpoint),
    };
    expect(problems({ ...given, deliveryStore: new MemoryDeliveryStore() })).toContain(
      "'deliveryStore' must not be a MemoryDeliveryStore where there is a 'backplane'",
    );
    const own = new DelegatingStore();
    expect(problems({ ...given, deliveryStore: own })).toBe('');
    expect(problems(given)).toBe('');
  });

  it('reports all problems at once', () => {
    const message = problems({
      path: 'x',
      secretz: [],
      duplicates: 'none',
      clones: 'allow',
      mailboxLimit: 0,
      guards: [1],
    });
    for (const part of [
      "'path'",
      "did you mean 'secrets'",
      "'duplicates'",
      "'clones'",
      "'mailboxLimit'",
      "'guards'",
      "'authenticator'",
    ]) {
      expect(message).toContain(part);
    }
  });
});
