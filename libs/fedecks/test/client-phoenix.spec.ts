import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FedecksClient } from '@fedecks/nest/client';
import { Atom, type Term } from '@fedecks/nest/wire';
import { ClientLog } from './support/client-log.js';
import { Inbox } from './support/inbox.js';
import { frame, type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';
import { atom, chars, int, longChars, oldAtom, str, strMap, term, tuple } from './support/term-bytes.js';

/** ATOM_UTF8_EXT, as OTP 26 and later encode long atoms. */
function longAtom(name: string): Buffer {
  const bytes = Buffer.from(name);
  return Buffer.concat([Buffer.from([0x76, 0, bytes.length]), bytes]);
}

function header(fields: Readonly<Record<string, string>>): string {
  const terms = Object.entries(fields).map(([key, value]) => [key, str(value)] as const);
  return term(strMap(Object.fromEntries(terms))).toString('base64');
}

const CREDENTIALS = { username: 'marvin', password: 'paranoid' };
const LOGIN = header({ ...CREDENTIALS, 'fedecks-device-id': 'nerves-242a' });
const WITH_TOKEN = (token: string): string =>
  header({ 'fedecks-device-id': 'nerves-242a', 'fedecks-token': token });

let cloud: PhoenixPeer;
let directory: string;
let client: FedecksClient;
let log: ClientLog;
let messages: Inbox<Term>;

/** A device after a boot: all its state is in its directory. */
function boot(): void {
  client = new FedecksClient({
    url: cloud.url,
    deviceId: 'nerves-242a',
    tokenStore: directory,
    startDelayMs: 0,
    retryMinMs: 1,
    retryMaxMs: 20,
    refusedRetryMs: 80,
    closeTimeoutMs: 30,
  });
  log = new ClientLog(client);
  messages = new Inbox<Term>('message');
  client.messages$.subscribe((message) => messages.put(message));
}

/** Accepts the next connection, checks its auth header, and consumes its token request. */
async function accept(auth: string): Promise<PeerConnection> {
  const device = await cloud.accept();
  expect(device.request.headers['x-fedecks-auth']).toBe(auth);
  device.upgrade();
  expect((await device.frame()).payload).toEqual(term(chars('token_please')));
  await log.until('connected');
  return device;
}

beforeEach(async () => {
  cloud = await PhoenixPeer.listen();
  directory = await mkdtemp(join(tmpdir(), 'fedecks-phoenix-'));
});

afterEach(async () => {
  await client.stop();
  await cloud.close();
  await rm(directory, { recursive: true });
});

it.each([
  ['OTP 25', oldAtom, chars],
  ['OTP 26 and later', atom, chars],
  ['OTP 26 and later, with long atoms, and lists written out', longAtom, longChars],
])(
  'logs in, receives messages and tokens, reconnects and stops against a Phoenix server of %s',
  async (_otp, anAtom, aCharlist) => {
    const token = (value: string): Buffer => term(tuple(aCharlist('token'), str(value)));
    boot();
    await client.start();
    await log.until('unregistered');

    // A wrong password: Cowboy's 403 keeps the TCP connection open, so the device closes it.
    const wrong = client.login({ ...CREDENTIALS, password: 'panic' });
    const refused = await cloud.accept();
    refused.refuse(403, 'connection: keep-alive\r\n');
    await expect(wrong).rejects.toMatchObject({ code: 'upgrade-failed', status: 403 });
    await refused.ended();

    // The right password: a token, then messages in both directions.
    const login = client.login(CREDENTIALS);
    let device = await accept(LOGIN);
    device.binary(token('token-1'));
    await login;
    await client.send('temperature', { celsius: 21 });
    expect((await device.frame()).payload).toEqual(
      term(tuple(str('temperature'), strMap({ celsius: int(21) }))),
    );
    device.binary(term(tuple(anAtom('set_led'), anAtom('true'))));
    const [name, on] = (await messages.next()) as [Atom, boolean];
    expect([name.name, on]).toEqual(['set_led', true]);
    // An atom is not a charlist, so this is a message and not a token.
    device.binary(term(tuple(anAtom('token'), str('not one'))));
    expect([...((await messages.next()) as Term[])]).toEqual([expect.any(Atom), 'not one']);

    // An unsolicited new token, in one TCP segment with messages.
    device.write(
      Buffer.concat([frame(2, token('token-2')), frame(2, term(str('a'))), frame(2, term(str('b')))]),
    );
    expect([await messages.next(), await messages.next()]).toEqual(['a', 'b']);

    // However the connection ends, the device reconnects with the newest token.
    const closeWith = (code: number) => (device: PeerConnection) => {
      device.close(code);
      device.fin();
    };
    const fin = (device: PeerConnection): void => device.fin();
    const rst = (device: PeerConnection): void => device.reset();
    for (const end of [closeWith(1000), closeWith(1002), closeWith(1011), fin, rst]) {
      end(device);
      await log.until('connection_lost');
      device = await accept(WITH_TOKEN('token-2'));
    }

    // It also does so after a reboot. After a rejection it waits for a limited time.
    await client.stop();
    boot();
    await client.start();
    (await cloud.accept()).refuse(403, 'connection: keep-alive\r\n');
    await log.until('upgrade_failed');
    expect((await log.until('connection_scheduled')).delayMs).toBeGreaterThanOrEqual(40);
    device = await accept(WITH_TOKEN('token-2'));
    device.binary(token('token-3'));
    await log.until('token_stored');
    await client.send(['hello', 'again']);
    await device.frame();

    // The device answers the server's ping, and closes with 1000.
    device.ping('nerves');
    expect(await device.frame()).toMatchObject({ opcode: 10, payload: Buffer.from('nerves') });
    const stopped = client.stop();
    expect((await device.frame()).payload.toString('hex')).toBe('03e8');
    device.fin();
    await stopped;
  },
);

it('treats a frame in the segment of the 101 as a message', async () => {
  boot();
  const login = client.login(CREDENTIALS);
  const device = await cloud.accept();
  device.cork();
  device.upgrade();
  device.binary(term(str('early')));
  device.binary(term(tuple(chars('token'), str('token-1'))));
  device.uncork();
  await login;
  expect(await messages.next()).toBe('early');
});
