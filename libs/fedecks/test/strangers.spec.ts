import { Injectable, type LoggerService, ServiceUnavailableException } from '@nestjs/common';
import {
  type DeviceAuthenticator,
  type FedecksOptions,
  FedecksModule,
  OnMessage,
  OnSocketError,
  Payload,
  type SocketError,
} from '@fedecks/nest';
import { loginHeader, PASSWORD, type Presented, request, tokenHeader } from './support/cloud.js';
import { Inbox } from './support/inbox.js';
import { SECRET, Site, tokenOf } from './support/site.js';
import { str, term } from './support/term-bytes.js';

/** Hangs, or is overloaded, if the password says so. */
@Injectable()
class Login implements DeviceAuthenticator {
  readonly asked: string[] = [];
  readonly hung = new Inbox<AbortSignal>('login that hangs');

  async authenticate(
    { password }: Parameters<DeviceAuthenticator['authenticate']>[0],
    { id, signal }: Parameters<DeviceAuthenticator['authenticate']>[1],
  ): Promise<boolean> {
    this.asked.push(id);
    if (password === 'busy') throw new ServiceUnavailableException('too many logins');
    if (password !== 'hang') return password === PASSWORD;
    this.hung.put(signal);
    return new Promise(() => undefined);
  }
}

@Injectable()
class Listener {
  readonly errors = new Inbox<SocketError>('socket error');

  @OnMessage()
  fail() {
    throw new Error('the greenhouse is on fire');
  }

  @OnSocketError()
  error(@Payload() error: SocketError) {
    this.errors.put(error);
  }
}

let site: Site;
let login: Login;
let listener: Listener;
let lines: string[];
afterEach(() => site.close());

async function start(given: Partial<FedecksOptions> = {}): Promise<void> {
  lines = [];
  const write = (line: unknown): void => void lines.push(String(line));
  const logger: LoggerService = { log: () => undefined, error: write, warn: write };
  site = await Site.start(
    {
      imports: [FedecksModule.forRoot({ secrets: [SECRET], authenticator: Login, drainMs: 0, ...given })],
      providers: [Login, Listener],
    },
    { logger },
  );
  login = site.app.get(Login);
  listener = site.app.get(Listener);
}

describe('An unauthenticated client behind the same proxy as the fleet', () => {
  it.each<[string, Presented]>([
    ['logins', { auth: loginHeader('stranger', 'wrong') }],
    ['tokens that were never issued', { auth: tokenHeader('nerves-242a', 'no token') }],
    ['garbage', { auth: 'garbage' }],
  ])('does not block a device with a token, however many bad %s it sends', async (_, presented) => {
    // One more every 30 s: none while the test runs, on however busy a machine.
    await start({ upgradesPerAddressPerMinute: 2, upgradesPerSecond: 10 });
    const token = await tokenOf(await site.open());
    const statuses: string[] = [];
    for (let count = 0; count < 40; count++) statuses.push(await site.statusOf(presented));
    expect(statuses.at(-1)).toBe('503 Service Unavailable');
    expect(login.asked.length).toBeLessThanOrEqual(2);
    const asked = login.asked.length;
    expect(await site.statusOf({ deviceId: 'login' })).toBe('503 Service Unavailable');
    expect(login.asked).toHaveLength(asked);
    expect(await site.statusOf({ auth: tokenHeader('nerves-242a', token) })).toContain('101');
  });

  it("does not block another device's valid token with a revoked one", async () => {
    await start({ upgradesPerAddressPerMinute: 100 });
    const [stolen, token] = [
      await tokenOf(await site.open({ deviceId: 'stolen' })),
      await tokenOf(await site.open()),
    ];
    await site.fedecks.revoke('stolen');
    const statuses: string[] = [];
    for (let count = 0; count < 15; count++) {
      statuses.push(await site.statusOf({ auth: tokenHeader('stolen', stolen) }));
    }
    expect(statuses).toEqual([
      ...new Array<string>(10).fill('403 Forbidden'),
      ...new Array<string>(5).fill('503 Service Unavailable'),
    ]);
    expect(await site.statusOf({ auth: tokenHeader('nerves-242a', token) })).toContain('101');
  });

  it('aborts the signal of its login when it disconnects', async () => {
    await start();
    const peer = await site.connect();
    peer.write(request({ auth: loginHeader('stranger', 'hang') }));
    const signal = await login.hung.next();
    expect(signal.aborted).toBe(false);
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
    peer.reset();
    await aborted;
    expect(listener.errors.size).toBe(0);
  });
});

describe('The log', () => {
  it("keeps lines for the app's own errors and those of devices, while rejected upgrades fill their limit", async () => {
    await start();
    for (let count = 0; count < 50; count++) await site.statusOf({ auth: 'garbage' });
    const before = lines.length;
    expect(before).toBe(20);
    const device = await site.open();
    device.sendBinary(term(str('hello')));
    // A raw message, which has no handler.
    device.sendBinary('ff');
    while ((await listener.errors.next()).type !== 'unhandled_message');
    expect(lines.slice(before)).toEqual([
      expect.stringMatching(/^device "nerves-242a": handler_failed/),
      expect.stringMatching(/^device "nerves-242a": unhandled_message/),
    ]);
  });

  it('counts an overloaded authenticator among rejected upgrades, without a stack', async () => {
    await start({ upgradesPerAddressPerMinute: 100 });
    const auth = loginHeader('stranger', 'busy');
    for (let count = 0; count < 50; count++) await site.statusOf({ deviceId: `stranger-${count}`, auth });
    expect(lines).toHaveLength(20);
    expect(lines[0]).toMatch(/upgrade_failed: too many logins$/);
    const device = await site.open();
    device.sendBinary(term(str('hello')));
    while ((await listener.errors.next()).type !== 'handler_failed');
    expect(lines).toHaveLength(21);
  });

  it('escapes line breaks and control characters of a device id, which is reported unchanged', async () => {
    await start();
    const hostile = 'a\n[Nest] ERROR\u2028\u001b[2J\u009b2J';
    const token = await tokenOf(await site.open({ deviceId: hostile }));
    expect(await site.statusOf({ auth: tokenHeader('b\r\n', token) })).toBe('403 Forbidden');
    expect(await listener.errors.next()).toEqual({
      deviceId: 'b\r\n',
      type: 'invalid_token',
      info: `wrong device id in token, '${hostile}'`,
    });
    expect(lines).toEqual([
      'device "b\\r\\n": invalid_token: wrong device id in token, ' +
        "'a\\n[Nest] ERROR\\u2028\\u001b[2J\\u009b2J'",
    ]);
  });
});
