import { MemoryTokenStore } from '@fedecks/nest/client';
import { ExpiringTokenStore } from './expiring-token-store.js';

const jwt = (payload: string): string => `e30.${Buffer.from(payload).toString('base64url')}.signature`;
const nothing = (): void => undefined;

describe('ExpiringTokenStore', () => {
  it('knows when a JWT expires that is loaded or saved, and nothing once it is removed', async () => {
    const store = new ExpiringTokenStore(new MemoryTokenStore(jwt('{"exp":1700000000}')));
    expect(store.expiresAt).toBeUndefined();
    await store.load(nothing);
    expect(store.expiresAt).toEqual(new Date(1_700_000_000_000));
    await store.save(jwt('{"exp":1800000000}'));
    expect(store.expiresAt).toEqual(new Date(1_800_000_000_000));
    await store.remove();
    expect(store.expiresAt).toBeUndefined();
    expect(await store.load(nothing)).toBeUndefined();
  });

  it('knows it of a token that could not be saved, too', async () => {
    const disk = new MemoryTokenStore();
    disk.save = () => Promise.reject(new Error('full'));
    const store = new ExpiringTokenStore(disk);
    await expect(store.save(jwt('{"exp":1700000000}'))).rejects.toThrow('full');
    expect(store.expiresAt).toEqual(new Date(1_700_000_000_000));
  });

  it.each([
    'opaque',
    'v1.4.local',
    'a.b',
    jwt('null'),
    jwt('{}'),
    jwt('{"exp":"soon"}'),
    jwt('{"exp":1e300}'),
    jwt('{'),
  ])('takes the expiry of %j for unknown', async (token) => {
    const store = new ExpiringTokenStore(new MemoryTokenStore(token));
    expect(await store.load(nothing)).toBe(token);
    expect(store.expiresAt).toBeUndefined();
  });
});
