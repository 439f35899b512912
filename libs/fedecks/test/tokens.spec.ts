import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Injectable } from '@nestjs/common';
import { jest } from '@jest/globals';
import {
  type AuthenticationResult,
  type ConnectedDevice,
  type Credentials,
  Device,
  type DeviceAuthenticator,
  type FedecksOptions,
  FedecksModule,
  OnConnected,
  OnDisconnected,
  OnMessage,
  OnSocketError,
  Payload,
  type DisconnectCause,
  type RevocationStore,
  type SocketError,
} from '@fedecks/nest';
import { loginHeader, tokenHeader } from './support/cloud.js';
import { Inbox } from './support/inbox.js';
import { type RawPeer } from './support/raw-peer.js';
import { closeCode, SECRET, Site, tokenOf } from './support/site.js';
import { str, term } from './support/term-bytes.js';

const HOUR_MS = 3600 * 1000;
const ID = 'nerves-242a';
const [A, B, C, D] = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(32)) as [
  string,
  string,
  string,
  string,
];

/** Accepts everybody with a password, and returns the configured result. */
@Injectable()
class Login implements DeviceAuthenticator {
  result: unknown = true;
  /** Awaited before it answers. */
  until: Promise<void> | undefined;
  readonly asked = new Inbox<string>('login');

  async authenticate(credentials: Credentials, { id }: { id: string }): Promise<AuthenticationResult> {
    this.asked.put(id);
    await this.until;
    return credentials['password'] === undefined ? false : (this.result as AuthenticationResult);
  }
}

@Injectable()
class Listener {
  readonly connected = new Inbox<ConnectedDevice>('connection');
  readonly disconnected = new Inbox<DisconnectCause>('end of a connection');
  readonly errors = new Inbox<SocketError>('socket error');

  @OnConnected()
  come(@Device() device: ConnectedDevice) {
    this.connected.put(device);
  }

  @OnDisconnected()
  gone(@Payload() cause: DisconnectCause) {
    this.disconnected.put(cause);
  }

  @OnSocketError()
  error(@Payload() error: SocketError) {
    this.errors.put(error);
  }

  @OnMessage()
  any() {
    return 'heard';
  }
}

/** An app's store, as one with a database: a provider with asynchronous calls. */
@Injectable()
class DatabaseStore implements RevocationStore {
  static readonly rows = new Map<string, number>();
  fails = false;
  until: Promise<void> | undefined;

  async revoke(deviceId: string, at: number): Promise<void> {
    await this.until;
    if (this.fails) throw new Error('the database is gone');
    DatabaseStore.rows.set(deviceId, at);
  }

  async revokedAt(deviceId: string): Promise<number | undefined> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.fails) throw new Error('the database is gone');
    return DatabaseStore.rows.get(deviceId);
  }
}

let site: Site;
let login: Login;
let listener: Listener;
afterEach(() => site.close());

async function start(given: Partial<FedecksOptions> = {}): Promise<void> {
  site = await Site.start({
    imports: [FedecksModule.forRoot({ secrets: [SECRET], authenticator: Login, drainMs: 0, ...given })],
    providers: [Login, Listener, DatabaseStore],
  });
  login = site.app.get(Login);
  listener = site.app.get(Listener);
}

async function restart(given: Partial<FedecksOptions>): Promise<void> {
  await site.close();
  await start(given);
}

const withToken = (token: string, deviceId = ID): { auth: string } => ({
  auth: tokenHeader(deviceId, token),
});

async function expectRefused(token: string, info = '', deviceId = ID): Promise<void> {
  expect(await site.statusOf(withToken(token, deviceId))).toBe('403 Forbidden');
  expect(await listener.errors.next()).toEqual({ deviceId, type: 'invalid_token', info });
}

/** The decoded header and payload of a token. */
function read(token: string): [Record<string, unknown>, Record<string, unknown>] {
  const [header, payload] = token
    .split('.', 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>);
  return [header!, payload!];
}

/** A token made by hand. */
function forge(secret: string, header: object, payload: object): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

describe('Secrets', () => {
  it('can be rotated by prepending one, restart by restart, while a device stays logged in', async () => {
    await start({ secrets: [A] });
    let token = await tokenOf(await site.open());
    for (const secrets of [
      [B, A],
      [C, B, A],
      [C, B],
      [D, C],
    ]) {
      await restart({ secrets });
      token = await tokenOf(await site.open(withToken(token)));
    }
    expect(login.asked.size).toBe(0);
  });

  it('all verify, and the first signs', async () => {
    const tokens: string[] = [];
    await start({ secrets: [A] });
    for (const secret of [A, B, C]) {
      await restart({ secrets: [secret] });
      tokens.push(await tokenOf(await site.open()));
    }
    await restart({ secrets: [C, B, A] });
    for (const token of tokens) {
      const renewed = await tokenOf(await site.open(withToken(token)));
      expect(read(renewed)[0]).toEqual(read(tokens[2]!)[0]);
    }
  });

  it('that were removed verify no tokens', async () => {
    await start({ secrets: [A] });
    const token = await tokenOf(await site.open());
    await restart({ secrets: [C, B] });
    await expectRefused(token);
  });
});

describe('A token', () => {
  it.each<[string, FedecksOptions['tokenExpiry'], number]>([
    ['in words', '3h', 3 * HOUR_MS],
    ['in milliseconds', 90_000, 90_000],
    ['in milliseconds that make no whole second', 1_500, 1_500],
  ])('is valid for the tokenExpiry %s', async (_, tokenExpiry, expiryMs) => {
    const before = Date.now();
    await start({ tokenExpiry: tokenExpiry!, tokenRefresh: 1_000 });
    const [, { iat, exp }] = read(await tokenOf(await site.open()));
    const lifeMs = ((exp as number) - (iat as number)) * 1_000;
    expect(iat).toBeGreaterThanOrEqual(before / 1_000);
    expect(lifeMs).toBeGreaterThanOrEqual(expiryMs - 1);
    expect(lifeMs).toBeLessThan(expiryMs + 1_000);
  });

  it('is rejected after its expiry', async () => {
    await start({ tokenExpiry: 1_000, tokenRefresh: 500 });
    const [header, payload] = read(await tokenOf(await site.open()));
    const now = Math.floor(Date.now() / 1_000);
    await expectRefused(forge(SECRET, header, { ...payload, exp: now - 1 }));
    expect(await site.statusOf(withToken(forge(SECRET, header, { ...payload, exp: now + 60 })))).toBe(
      '101 Switching Protocols',
    );
  });

  it('is renewed unsolicited after tokenRefresh; the new one is accepted', async () => {
    await start({ tokenRefresh: '40ms' });
    const device = await site.open();
    const asked = performance.now();
    await device.expectFrame();
    await device.expectFrame();
    const { payload, at } = await device.expectFrame();
    // Three times 40 ms, plus the delays of a busy machine.
    expect(at - asked).toBeLessThan(2_500);
    const renewed = payload.toString('latin1', 3 + 8 + 5);
    await site.open(withToken(renewed));
    expect(login.asked.size).toBe(1);
  });

  it('is rejected when it was forged', async () => {
    await start();
    const token = await tokenOf(await site.open());
    const [header, payload] = read(token);
    const [signed, signature] = [token.slice(0, token.lastIndexOf('.')), token.slice(token.lastIndexOf('.'))];
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    for (const forged of [
      forge(A, header, payload),
      forge(SECRET, { ...header, alg: 'HS512' }, payload),
      forge(SECRET, header, { ...payload, aud: 'the app itself' }),
      forge(SECRET, header, { ...payload, aud: undefined }),
      `${none}.${token.split('.')[1]!}.`,
      `${none}.${token.split('.')[1]!}${signature}`,
      `${signed}.`,
      signed,
    ]) {
      await expectRefused(forged);
    }
    await expectRefused(token, `wrong device id in token, '${ID}'`, 'nerves-666');
  });
});

describe('Claims', () => {
  const claims = { site: 'north', roles: ['pump', 'valve'], level: 3 };

  it('of the authenticator are in the token: a reconnection has them without calling the authenticator', async () => {
    await start();
    login.result = { claims };
    let token = await tokenOf(await site.open());
    expect(await listener.connected.next()).toMatchObject({ id: ID, claims });
    for (let reconnection = 0; reconnection < 3; reconnection++) {
      token = await tokenOf(await site.open(withToken(token)));
      expect((await listener.connected.next()).claims).toEqual(claims);
    }
    expect(site.fedecks.devices()).toMatchObject([{ claims }]);
    expect(login.asked.size).toBe(1);
  });

  it('are undefined if the authenticator returned none', async () => {
    await start();
    await site.open();
    expect((await listener.connected.next()).claims).toBeUndefined();
  });

  it('reject the login when the token exceeds a header of 1,023 bytes, and not with one byte less', async () => {
    await start();
    const statusWith = async (length: number): Promise<string> => {
      login.result = { claims: { note: 'x'.repeat(length) } };
      return site.statusOf({});
    };
    let [fits, tooLong] = [0, 1_000];
    while (tooLong - fits > 1) {
      const length = Math.floor((fits + tooLong) / 2);
      if ((await statusWith(length)).startsWith('101')) fits = length;
      else tooLong = length;
    }
    expect(await statusWith(tooLong)).toBe('403 Forbidden');
    listener.errors.clear();
    await statusWith(tooLong);
    expect(await listener.errors.next()).toMatchObject({ deviceId: ID, type: 'authentication_failed' });

    // With the longest accepted claims, the token is accepted.
    login.result = { claims: { note: 'x'.repeat(fits) } };
    const auth = tokenHeader(ID, await tokenOf(await site.open()));
    expect(auth.length).toBeLessThan(1_024);
    await site.open({ auth });
  });

  it.each<[string, unknown, string, SocketError['type']]>([
    ['null', null, '403 Forbidden', 'authentication_failed'],
    ['undefined', undefined, '403 Forbidden', 'authentication_failed'],
    ['a record without claims', { id: 7, enabled: false }, '503 Service Unavailable', 'upgrade_failed'],
    ['a string', 'yes', '503 Service Unavailable', 'upgrade_failed'],
  ])(
    'must be true, false or claims: an authenticator that returns %s accepts nobody',
    async (_, result, status, type) => {
      await start();
      login.result = result;
      expect(await site.statusOf({})).toBe(status);
      expect(await listener.errors.next()).toMatchObject({ deviceId: ID, type });
    },
  );
});

describe('revoke()', () => {
  beforeEach(() => DatabaseStore.rows.clear());

  it.each<[string, Partial<FedecksOptions>]>([
    ['in memory', {}],
    ['in a store of the app, given as a class', { revocations: DatabaseStore }],
    ['in a store of the app, given as an object', { revocations: new DatabaseStore() }],
  ])('closes with 4150 and revokes old tokens at once; a new login works (%s)', async (_, given) => {
    await start(given);
    for (let round = 0; round < 5; round++) {
      const device = await site.open();
      const token = await tokenOf(device);
      await site.fedecks.revoke(ID);
      expect(closeCode(await device.expectFrame())).toBe(4150);
      await device.ended();
      expect(await listener.disconnected.next()).toEqual({ type: 'revoked', code: 4150 });
      await expectRefused(token, 'revoked');

      const again = await tokenOf(await site.open());
      await site.open(withToken(again));
      await site.fedecks.disconnect(ID);
      await listener.disconnected.next();
      listener.disconnected.clear();
    }
  });

  it('does not revoke a token issued right after it, in the same millisecond', async () => {
    await start();
    const old = await tokenOf(await site.open());
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockReturnValue(now);
    try {
      await site.fedecks.revoke(ID);
      await site.open(withToken(await tokenOf(await site.open())));
      await expectRefused(old, 'revoked');
    } finally {
      clock.mockRestore();
    }
  });

  it('revokes tokens of a device that is not connected, and of no other', async () => {
    await start();
    const other = await site.open({ deviceId: 'other' });
    const gone = await site.open();
    const token = await tokenOf(gone);
    gone.destroy();
    await listener.disconnected.next();
    await site.fedecks.revoke(ID);
    await expectRefused(token, 'revoked');
    other.sendBinary(term(str('hello')));
    expect((await other.expectFrame()).payload).toEqual(term(str('heard')));
  });

  it('survives a restart with a store of the app', async () => {
    await start({ revocations: DatabaseStore });
    const token = await tokenOf(await site.open());
    await site.fedecks.revoke(ID);
    await restart({ revocations: DatabaseStore });
    await expectRefused(token, 'revoked');
  });

  it('closes the connection and rejects the token without waiting for a slow store, and issues no token meanwhile', async () => {
    await start({ revocations: DatabaseStore });
    let written = (): void => undefined;
    site.app.get(DatabaseStore).until = new Promise((resolve) => (written = resolve));
    const device = await site.open();
    const token = await tokenOf(device);
    const revoking = site.fedecks.revoke(ID);
    device.sendBinary('836b000c746f6b656e5f706c65617365');
    expect(closeCode(await device.expectFrame())).toBe(4150);
    await expectRefused(token, 'revoked');
    expect(DatabaseStore.rows.size).toBe(0);
    written();
    await revoking;
    expect(DatabaseStore.rows.size).toBe(1);
  });

  it("closes the connection and throws the store's error; upgrades with a token get 503", async () => {
    await start({ revocations: DatabaseStore });
    const store = site.app.get(DatabaseStore);
    const other = await tokenOf(await site.open({ deviceId: 'other' }));
    const device = await site.open();
    store.fails = true;
    await expect(site.fedecks.revoke(ID)).rejects.toThrow('the database is gone');
    expect(closeCode(await device.expectFrame())).toBe(4150);

    const { peer, response } = await site.ask(withToken(other, 'other'));
    expect(response.statusLine).toBe('HTTP/1.1 503 Service Unavailable');
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(response.alone).toBe(true);
    peer.destroy();
    expect(await listener.errors.next()).toMatchObject({ deviceId: 'other', type: 'upgrade_failed' });
    // A login does not query the store.
    await site.open({ deviceId: 'third' });
  });

  it('rejects an upgrade in progress, whatever has been checked already', async () => {
    await start();
    let answer = (): void => undefined;
    login.until = new Promise((resolve) => (answer = resolve));
    const status = site.statusOf({ auth: loginHeader(ID) });
    await login.asked.next();
    await site.fedecks.revoke(ID);
    answer();
    expect(await status).toBe('403 Forbidden');
    expect(await listener.errors.next()).toEqual({ deviceId: ID, type: 'invalid_token', info: 'revoked' });
    login.until = undefined;
    await site.open();
  });
});

interface PhoenixVector {
  readonly token: string;
  readonly secret: string;
  readonly salt: string;
  readonly identifier: string;
  readonly plug_crypto: string;
}
const vectors = JSON.parse(
  readFileSync(new URL('vectors/phoenix-tokens.json', import.meta.url), 'utf8'),
) as PhoenixVector[];
/** The device id, or undefined if the token contains no valid one (PROTOCOL.md §1.2). */
function idIn({ identifier }: PhoenixVector): string | undefined {
  if (!identifier.startsWith('"')) return undefined;
  const id = JSON.parse(identifier) as string;
  return id === '' || Buffer.byteLength(id) > 125 ? undefined : id;
}
const [usable, unusable] = [true, false].map((wanted) =>
  vectors
    .filter((vector) => (idIn(vector) !== undefined) === wanted)
    .map((vector): [string, string, PhoenixVector] => [
      vector.plug_crypto,
      vector.identifier.slice(0, 20),
      vector,
    ]),
) as [[string, string, PhoenixVector][], [string, string, PhoenixVector][]];

describe('a token of a Phoenix server', () => {
  const [{ secret, salt }] = vectors as [PhoenixVector];
  const phoenix = { secret, salt };

  async function expectIn(device: RawPeer): Promise<void> {
    device.sendBinary(term(str('hello')));
    expect((await device.expectFrame()).payload).toEqual(term(str('heard')));
  }

  it.each(usable)(
    '(plug_crypto %s, %s) is accepted for its device only, which gets a new token of this cloud',
    async (_version, _id, vector) => {
      await start({ phoenix });
      const id = idIn(vector)!;
      await expectRefused(vector.token, `wrong device id in token, '${id}'`, 'another');
      const device = await site.open(withToken(vector.token, id));
      expect(await listener.connected.next()).toMatchObject({ id, claims: undefined });
      const ours = await tokenOf(device);
      await expectIn(device);

      await restart({});
      await expectIn(await site.open(withToken(ours, id)));
      expect(login.asked.size).toBe(0);
    },
  );

  it.each(unusable)(
    '(plug_crypto %s, %s) without a valid device id is rejected',
    async (_version, _id, vector) => {
      await start({ phoenix });
      expect(await site.statusOf(withToken(vector.token, 'device-123'))).toBe('403 Forbidden');
      expect(await listener.errors.next()).toMatchObject({ deviceId: 'device-123', type: 'invalid_token' });
    },
  );

  it('is rejected when any part was changed', async () => {
    await start({ phoenix });
    for (const [, , vector] of usable.filter(([, , each]) => idIn(each) === 'device-123')) {
      const parts = vector.token.split('.');
      for (let part = 0; part < parts.length; part++) {
        for (const at of [0, Math.floor(parts[part]!.length / 2), parts[part]!.length - 1]) {
          const text = parts[part]!;
          const changed = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
          await expectRefused(
            [...parts.slice(0, part), changed, ...parts.slice(part + 1)].join('.'),
            '',
            'device-123',
          );
        }
      }
    }
  });

  it("is rejected without the option, and with another server's secret", async () => {
    const [, , vector] = usable[0]!;
    await start();
    await expectRefused(vector.token, '', idIn(vector));
    await restart({ phoenix: { secret, salt: `${salt}x` } });
    await expectRefused(vector.token, '', idIn(vector));
  });

  it('can be revoked for as long as it is valid', async () => {
    const kept: number[] = [];
    const revocations: RevocationStore = {
      revoke: (_id, at, until) => void kept.push(at, until),
      revokedAt: () => kept[0],
    };
    await start({ phoenix, revocations });
    const [, , vector] = usable[0]!;
    const id = idIn(vector)!;
    await site.open(withToken(vector.token, id));
    await site.fedecks.revoke(id);
    await expectRefused(vector.token, 'revoked', id);
    // The token contains its own lifetime, which may be infinite.
    expect(kept[1]).toBe(8.64e15);
  });
});
