import { jest } from '@jest/globals';
import {
  authHeader,
  type Cloud,
  loginHeader,
  type Presented,
  PASSWORD,
  request,
  startCloud,
  tokenHeader,
} from './support/cloud.js';
import { EXPECTED_ACCEPT, frame, OPCODE, type RawPeer } from './support/raw-peer.js';
import {
  atom,
  chars,
  compressedTerm,
  int,
  list,
  map,
  oldAtom,
  str,
  strMap,
  term,
  tuple,
} from './support/term-bytes.js';

const TOKEN_PLEASE = '836b000c746f6b656e5f706c65617365';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
beforeEach(() => cloud.forget());
afterAll(() => cloud.close());

/** Logs a device in, and returns the token it is given. */
async function tokenOf(deviceId: string, from = cloud): Promise<string> {
  const peer = await from.open({ deviceId });
  peer.sendBinary(TOKEN_PLEASE);
  const { payload } = await peer.expectFrame();
  peer.destroy();
  // 83 68 02 | 6b 00 05 "token" | 6d, four bytes of length
  return payload.toString('latin1', 3 + 8 + 5);
}

/** A message sent now is answered: the connection is in order. */
async function expectAlive(peer: RawPeer): Promise<void> {
  peer.sendBinary(term(str('are you there')));
  expect((await peer.expectFrame()).payload).toEqual(term(str('heard')));
  await cloud.messages.next();
}

/** A refusal of §1.4: its status, no body, one read and no more, and TCP ended. */
async function expectRefused(presented: Presented, from = cloud, status = '403 Forbidden'): Promise<void> {
  const { peer, response } = await from.ask(presented);
  expect(response.statusLine).toBe(`HTTP/1.1 ${status}`);
  expect(response.headers.get('content-length')).toBe('0');
  expect(response.headers.has('transfer-encoding')).toBe(false);
  expect(response.alone).toBe(true);
  peer.end();
  await peer.ended();
  expect(Buffer.concat(peer.reads)).toEqual(response.firstRead);
}

/** The text of the header whose map fills it up to `length` bytes of Base64. */
function headerOfLength(length: number): string {
  const fields = (padding: number): Record<string, Uint8Array> => ({
    'fedecks-device-id': str('nerves-242a'),
    password: str(PASSWORD),
    padding: str('x'.repeat(padding)),
  });
  const without = term(strMap(fields(0))).length;
  const header = authHeader(fields((length / 4) * 3 - without));
  expect(header).toHaveLength(length);
  return header;
}

describe('the limits in the answer (§1.9)', () => {
  it.each([
    ['that names its attempt', { 'x-fedecks-attempt': 'AAECAwQFBgcICQoLDA0ODw/1' }, 'frames-per-second=1000'],
    ['that names none', {}, undefined],
    ['that names something else', { 'x-fedecks-attempt': 'first' }, undefined],
  ])('are told to a device %s as %s', async (_, headers, limits) => {
    const cloud = await startCloud();
    try {
      const { response } = await cloud.ask({ headers });
      expect(response.headers.get('x-fedecks-limits')).toBe(limits);
      expect([...response.headers.keys()].filter((name) => name !== 'x-fedecks-limits')).toEqual([
        'upgrade',
        'connection',
        'sec-websocket-accept',
      ]);
      expect(response.alone).toBe(true);
    } finally {
      await cloud.close();
    }
  });

  it('are not told where there are none', async () => {
    const cloud = await startCloud({ messagesPerSecond: 0 });
    try {
      const { response } = await cloud.ask({ headers: { 'x-fedecks-attempt': 'AAECAwQFBgcICQoLDA0ODw/1' } });
      expect(response.headers.has('x-fedecks-limits')).toBe(false);
    } finally {
      await cloud.close();
    }
  });
});

describe('A device that is let in', () => {
  it('is answered with 101, the accept of its key, and nothing it has not asked for (§1.3)', async () => {
    const { peer, response } = await cloud.ask();

    expect(response.statusLine).toBe('HTTP/1.1 101 Switching Protocols');
    expect(response.headers.get('upgrade')?.toLowerCase()).toBe('websocket');
    expect(response.headers.get('connection')?.toLowerCase()).toBe('upgrade');
    expect(response.headers.get('sec-websocket-accept')).toBe(EXPECTED_ACCEPT);
    await expectAlive(peer);
  });

  it('is given no extension and no subprotocol, although it offers both (§1.3)', async () => {
    const { peer, response } = await cloud.ask({
      headers: {
        'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits',
        'sec-websocket-protocol': 'fedecks, chat',
      },
    });

    expect(response.statusLine).toBe('HTTP/1.1 101 Switching Protocols');
    expect(response.headers.has('sec-websocket-extensions')).toBe(false);
    expect(response.headers.has('sec-websocket-protocol')).toBe(false);
    await expectAlive(peer);
  });

  it('receives the whole 101 in one read and nothing with it, each time (§1.3)', async () => {
    for (let attempt = 0; attempt < 20; attempt++) {
      const { peer, response } = await cloud.ask({ deviceId: `alone-${attempt}` });
      expect(response.statusLine).toBe('HTTP/1.1 101 Switching Protocols');
      expect(response.alone).toBe(true);
      peer.destroy();
    }
  });

  it.each([
    ['a trailing slash', '/fedecks/websocket/'],
    ['a query string', '/fedecks/websocket?vsn=2.0.0'],
    ['a trailing slash and a query string', '/fedecks/websocket/?vsn=2.0.0&a=%20'],
  ])('may ask for the path with %s (§1.1)', async (_, target) => {
    await expectAlive(await cloud.open({ target }));
  });

  it.each([
    ['the mount path', '/fedecks'],
    ['a longer path', '/fedecks/websockets'],
    ['a path below it', '/fedecks/websocket/more'],
    ['another case', '/Fedecks/WebSocket'],
  ])('is not let in at %s (§1.1)', async (_, target) => {
    const peer = await cloud.connect();
    peer.write(request({ target }));
    peer.end();
    await peer.ended();
    expect(Buffer.concat(peer.reads).toString('latin1')).not.toContain('101 Switching Protocols');
    expect(cloud.errors.size).toBe(0);
  });

  it.each(['X-Fedecks-Auth', 'X-FEDECKS-AUTH', 'x-Fedecks-auth'])(
    'may write the header as %s (§1.2)',
    async (name) => {
      await expectAlive(
        await cloud.open({ auth: undefined, headers: { [name]: loginHeader('nerves-242a') } }),
      );
    },
  );

  it('may send frames in the same segment as its request (§1.3)', async () => {
    const peer = await cloud.connect();
    const message = term(tuple(str('echo'), str('early')));
    peer.write(Buffer.concat([request(), frame(OPCODE.binary, message), frame(OPCODE.ping, 'now')]));

    expect((await peer.response()).statusLine).toBe('HTTP/1.1 101 Switching Protocols');
    const frames = [await peer.expectFrame(), await peer.expectFrame()];
    expect(frames.find(({ opcode }) => opcode === OPCODE.binary)?.payload).toEqual(term(str('early')));
    expect(frames.find(({ opcode }) => opcode === OPCODE.pong)?.payload).toEqual(Buffer.from('now'));
  });

  it('may hold credentials of any shape (§1.2)', async () => {
    const auth = term(
      map(
        [str('fedecks-device-id'), str('nerves-242a')],
        [str('password'), str(PASSWORD)],
        [atom('since'), tuple(int(2026), int(11))],
        [int(7), list(oldAtom('ok'), chars('abc'))],
      ),
    ).toString('base64');
    await expectAlive(await cloud.open({ auth }));
  });

  it('may have a header of 1,020 bytes (§1.2)', async () => {
    await expectAlive(await cloud.open({ auth: headerOfLength(1_020) }));
  });

  it('may have an id of 125 bytes (§1.2)', async () => {
    const deviceId = 'ä'.repeat(62) + '!';
    await expectAlive(await cloud.open({ deviceId }));
  });

  it('is let in while another has sent only half of its request', async () => {
    const slow = await cloud.connect();
    slow.write(request({ deviceId: 'slow' }).subarray(0, 60));

    await expectAlive(await cloud.open({ deviceId: 'quick' }));

    slow.write(request({ deviceId: 'slow' }).subarray(60));
    expect((await slow.response()).statusLine).toBe('HTTP/1.1 101 Switching Protocols');
  });
});

describe('A device that is refused is answered with 403 and no body, in one read (§1.4), and reported,', () => {
  const invalid = (info: string) => ({ deviceId: null, type: 'invalid_auth_header', info });
  const id = str('nerves-242a');
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  const login = loginHeader('nerves-242a');
  /** Its Base64 needs padding, and both characters in which base64url differs. */
  const awkward = base64(
    term(
      strMap({ 'fedecks-device-id': id, password: str(PASSWORD), a: str(Buffer.from('fbfffefbef', 'hex')) }),
    ),
  );

  it('has an awkward header to be refused by its spelling alone', async () => {
    expect(awkward).toMatch(/\+.*\/.*=$|\/.*\+.*=$/);
    await expectAlive(await cloud.open({ auth: awkward }));
  });

  it.each<[string, Presented['auth'], string]>([
    ['without the header', undefined, 'missing'],
    ['with a header that is not Base64', 'not base64 at all!', 'not base64'],
    ['with unpadded Base64', awkward.replace(/=+$/, ''), 'not base64'],
    ['with base64url', awkward.replaceAll('+', '-').replaceAll('/', '_'), 'not base64'],
    ['with spaces in its Base64', `${login.slice(0, 8)} ${login.slice(8)}`, 'not base64'],
    ['that sends the header twice', [login, login], 'not base64'],
    [
      'with bytes that are no term',
      base64(Buffer.from('hello')),
      'encoded binary auth was invalid or unsafe',
    ],
    [
      'with a truncated term',
      base64(term(strMap({ 'fedecks-device-id': id })).subarray(0, -1)),
      'encoded binary auth was invalid or unsafe',
    ],
    [
      'with an unsafe term, an export of Erlang',
      base64(
        term(map([str('fedecks-device-id'), id], [str('f'), Buffer.from('7164000161640001626101', 'hex')])),
      ),
      'encoded binary auth was invalid or unsafe',
    ],
    [
      'with a key twice',
      base64(term(map([str('fedecks-device-id'), id], [str('fedecks-device-id'), str('other')]))),
      'encoded binary auth was invalid or unsafe',
    ],
    ['with a string', base64(term(str('nerves-242a'))), 'not a map'],
    ['with a list of pairs', base64(term(list(tuple(str('fedecks-device-id'), id)))), 'not a map'],
    ['with an empty map', base64(term(strMap({}))), 'no device id'],
    ['without a device id', authHeader({ password: str(PASSWORD) }), 'no device id'],
    [
      'with its id under an atom',
      base64(term(map([atom('fedecks-device-id'), id], [atom('password'), str(PASSWORD)]))),
      'no device id',
    ],
    ['with an empty id', loginHeader(''), 'no device id'],
    [
      'with an id that is a number',
      authHeader({ 'fedecks-device-id': int(5), password: str(PASSWORD) }),
      'device id is not a string',
    ],
    [
      'with an id that is a charlist',
      authHeader({ 'fedecks-device-id': chars('nerves'), password: str(PASSWORD) }),
      'device id is not a string',
    ],
    [
      'with an id that is nil',
      authHeader({ 'fedecks-device-id': atom('nil'), password: str(PASSWORD) }),
      'device id is not a string',
    ],
    ['with an id of 126 bytes', loginHeader('ä'.repeat(63)), 'device id is too long'],
    ['with a header of 1,024 bytes', headerOfLength(1_024), 'too long'],
    ['with 1,024 bytes that are no Base64', '!'.repeat(1_024), 'too long'],
  ])('%s', async (_, auth, info) => {
    await expectRefused({ auth });
    expect(await cloud.errors.next()).toEqual(invalid(info));
  });

  it('with a compressed term, however small', async () => {
    const fields = compressedTerm(strMap({ 'fedecks-device-id': id, password: str(PASSWORD) }));
    await expectRefused({ auth: base64(fields) });
    expect(await cloud.errors.next()).toEqual(invalid('encoded binary auth was invalid or unsafe'));
  });

  it('when the authenticator says no', async () => {
    await expectRefused({ auth: loginHeader('nerves-242a', 'wrong') });
    expect(await cloud.errors.next()).toEqual({
      deviceId: 'nerves-242a',
      type: 'authentication_failed',
      info: '',
    });
  });

  it('each time in one read', async () => {
    for (let attempt = 0; attempt < 20; attempt++) {
      await expectRefused({ auth: loginHeader('nerves-242a', 'wrong') });
      await cloud.errors.next();
    }
  });

  it.each<[string, Uint8Array]>([
    ['with a token nobody has issued', str('not a token')],
    ['with an empty token', str('')],
    ['with a token that is nil', atom('nil')],
    ['with a token that is a number', int(42)],
    ['with a token that is a charlist', chars('abc')],
    ['with a token of bytes that are no text', str(Buffer.from('fffe', 'hex'))],
    ['with a token that is a map', strMap({ a: int(1) })],
  ])('%s', async (_, token) => {
    await expectRefused({ auth: authHeader({ 'fedecks-device-id': id, 'fedecks-token': token }) });
    expect(await cloud.errors.next()).toEqual({ deviceId: 'nerves-242a', type: 'invalid_token', info: '' });
  });

  it('with the token of another device, which is named', async () => {
    const token = await tokenOf('nerves-of-another');
    await expectRefused({ auth: tokenHeader('nerves-242a', token) });
    expect(await cloud.errors.next()).toEqual({
      deviceId: 'nerves-242a',
      type: 'invalid_token',
      info: "wrong device id in token, 'nerves-of-another'",
    });
  });

  it('with a token in which one character has been changed', async () => {
    const token = await tokenOf('nerves-242a');
    const middle = Math.floor(token.length / 2);
    const changed = token.slice(0, middle) + (token[middle] === 'A' ? 'B' : 'A') + token.slice(middle + 1);
    await expectRefused({ auth: tokenHeader('nerves-242a', changed) });
    expect(await cloud.errors.next()).toEqual({ deviceId: 'nerves-242a', type: 'invalid_token', info: '' });
  });
});

describe('A device that is kept out by a fault of the cloud', () => {
  it('is answered with 503 and no body, which tells it to come again, when the authenticator throws (§1.5)', async () => {
    await expectRefused({ auth: loginHeader('nerves-242a', 'boom') }, cloud, '503 Service Unavailable');
    expect(await cloud.errors.next()).toMatchObject({ deviceId: 'nerves-242a', type: 'upgrade_failed' });
  });
});

describe('A token', () => {
  it('of a login lets its device in again, and the authenticator is not asked (§1.2)', async () => {
    const token = await tokenOf('returning');
    const asked = cloud.asked.length;
    await expectAlive(await cloud.open({ auth: tokenHeader('returning', token) }));
    expect(cloud.asked).toHaveLength(asked);
  });

  it('is short enough to go into a header beside the longest device id (§1.2)', async () => {
    const deviceId = 'n'.repeat(125);
    const auth = tokenHeader(deviceId, await tokenOf(deviceId));
    expect(auth.length).toBeLessThan(1_024);
    await expectAlive(await cloud.open({ auth }));
  });

  it('that is good lets in a device whose credentials beside it are wrong (§1.2)', async () => {
    const token = await tokenOf('nerves-242a');
    const auth = authHeader({
      'fedecks-device-id': str('nerves-242a'),
      'fedecks-token': str(token),
      password: str('wrong'),
    });
    await expectAlive(await cloud.open({ auth }));
  });

  it.each([
    ['bad', str('not a token')],
    ['nil', atom('nil')],
  ])('that is %s keeps out a device whose credentials beside it are right (§1.2)', async (_, token) => {
    const asked = cloud.asked.length;
    const auth = authHeader({
      'fedecks-device-id': str('nerves-242a'),
      'fedecks-token': token,
      password: str(PASSWORD),
    });
    await expectRefused({ auth });
    expect(await cloud.errors.next()).toMatchObject({ type: 'invalid_token', info: '' });
    expect(cloud.asked).toHaveLength(asked);
  });

  it('signed with a secret this cloud does not hold is refused (§1.4)', async () => {
    const other = await startCloud({ secrets: ['y'.repeat(32)] });
    try {
      const token = await tokenOf('nerves-242a', other);
      await expectRefused({ auth: tokenHeader('nerves-242a', token) });
      expect(await cloud.errors.next()).toEqual({ deviceId: 'nerves-242a', type: 'invalid_token', info: '' });
    } finally {
      await other.close();
    }
  });

  it('lives for four weeks (§1.2)', async () => {
    const token = await tokenOf('nerves-242a');
    const issuedAt = Date.now();
    const minuteMs = 60_000;
    const weekMs = 7 * 24 * 60 * minuteMs;
    // Only the calendar is moved: sockets and timers run as ever.
    const clock = jest.spyOn(Date, 'now');
    try {
      clock.mockReturnValue(issuedAt + 4 * weekMs - minuteMs);
      await expectAlive(await cloud.open({ auth: tokenHeader('nerves-242a', token) }));

      clock.mockReturnValue(issuedAt + 4 * weekMs + minuteMs);
      await expectRefused({ auth: tokenHeader('nerves-242a', token) });
      expect(await cloud.errors.next()).toEqual({ deviceId: 'nerves-242a', type: 'invalid_token', info: '' });
    } finally {
      clock.mockRestore();
    }
  });
});

describe('A request that is no upgrade', () => {
  const plain = { connection: undefined, upgrade: undefined, 'sec-websocket-key': undefined };

  it('is answered with 426 and no body when its authentication is good (§1.6)', async () => {
    const { peer, response } = await cloud.ask({ headers: { ...plain, 'sec-websocket-version': undefined } });
    expect(response.statusLine).toBe('HTTP/1.1 426 Upgrade Required');
    expect(response.headers.get('upgrade')).toBe('websocket');
    expect(response.headers.get('content-length')).toBe('0');
    peer.end();
    await peer.ended();
    expect(Buffer.concat(peer.reads)).toEqual(response.firstRead);
  });

  it('is answered with 403 when its authentication is not (§1.6)', async () => {
    await expectRefused({ auth: loginHeader('nerves-242a', 'wrong'), headers: plain });
    expect(await cloud.errors.next()).toMatchObject({ type: 'authentication_failed' });
  });

  it.each<[string, Presented['headers']]>([
    ['without a key', { 'sec-websocket-key': undefined }],
    ['with a key that is not of 16 bytes', { 'sec-websocket-key': 'c2hvcnQ=' }],
    ['of another version', { 'sec-websocket-version': '8' }],
  ])('or one %s, gets neither a 101 nor a body (§1.6)', async (_, headers) => {
    const { peer, response } = await cloud.ask({ headers: { ...headers } });
    expect(response.statusLine).toMatch(/^HTTP\/1\.1 4(00|26) /);
    expect(response.headers.get('content-length')).toBe('0');
    peer.end();
    await peer.ended();
    expect(Buffer.concat(peer.reads)).toEqual(response.firstRead);
  });
});
