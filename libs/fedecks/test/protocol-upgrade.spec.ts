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

/** Logs a device in, and returns its token. */
async function tokenOf(deviceId: string, from = cloud): Promise<string> {
  const peer = await from.open({ deviceId });
  peer.sendBinary(TOKEN_PLEASE);
  const { payload } = await peer.expectFrame();
  peer.destroy();
  // 83 68 02 | 6b 00 05 "token" | 6d, four bytes of length
  return payload.toString('latin1', 3 + 8 + 5);
}

/** Checks that the connection works: a message is answered. */
async function expectAlive(peer: RawPeer): Promise<void> {
  peer.sendBinary(term(str('are you there')));
  expect((await peer.expectFrame()).payload).toEqual(term(str('heard')));
  await cloud.messages.next();
}

/** Checks a rejection by §1.4: the status, no body, a single read, and TCP closed. */
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

/** A header whose map is padded to `length` bytes of Base64. */
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

describe('limits in the response (§1.9)', () => {
  it.each([
    ['with an attempt header', { 'x-fedecks-attempt': 'AAECAwQFBgcICQoLDA0ODw/1' }, 'frames-per-second=1000'],
    ['without one', {}, undefined],
    ['with an invalid one', { 'x-fedecks-attempt': 'first' }, undefined],
  ])('are sent to a device %s as %s', async (_, headers, limits) => {
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

  it('are absent when no limit is set', async () => {
    const cloud = await startCloud({ messagesPerSecond: 0 });
    try {
      const { response } = await cloud.ask({ headers: { 'x-fedecks-attempt': 'AAECAwQFBgcICQoLDA0ODw/1' } });
      expect(response.headers.has('x-fedecks-limits')).toBe(false);
    } finally {
      await cloud.close();
    }
  });
});

describe('an accepted device', () => {
  it('gets 101, the Sec-WebSocket-Accept of its key, and no other headers (§1.3)', async () => {
    const { peer, response } = await cloud.ask();

    expect(response.statusLine).toBe('HTTP/1.1 101 Switching Protocols');
    expect(response.headers.get('upgrade')?.toLowerCase()).toBe('websocket');
    expect(response.headers.get('connection')?.toLowerCase()).toBe('upgrade');
    expect(response.headers.get('sec-websocket-accept')).toBe(EXPECTED_ACCEPT);
    await expectAlive(peer);
  });

  it('gets no extension and no subprotocol, although it offers both (§1.3)', async () => {
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

  it('gets the whole 101 in one read without a frame, each time (§1.3)', async () => {
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
  ])('may request the path with %s (§1.1)', async (_, target) => {
    await expectAlive(await cloud.open({ target }));
  });

  it.each([
    ['the mount path', '/fedecks'],
    ['a longer path', '/fedecks/websockets'],
    ['a path below it', '/fedecks/websocket/more'],
    ['another case', '/Fedecks/WebSocket'],
  ])('is not accepted at %s (§1.1)', async (_, target) => {
    const peer = await cloud.connect();
    peer.write(request({ target }));
    peer.end();
    await peer.ended();
    expect(Buffer.concat(peer.reads).toString('latin1')).not.toContain('101 Switching Protocols');
    expect(cloud.errors.size).toBe(0);
  });

  it.each(['X-Fedecks-Auth', 'X-FEDECKS-AUTH', 'x-Fedecks-auth'])(
    'may spell the header name %s (§1.2)',
    async (name) => {
      await expectAlive(
        await cloud.open({ auth: undefined, headers: { [name]: loginHeader('nerves-242a') } }),
      );
    },
  );

  it('may send frames in the segment of its request (§1.3)', async () => {
    const peer = await cloud.connect();
    const message = term(tuple(str('echo'), str('early')));
    peer.write(Buffer.concat([request(), frame(OPCODE.binary, message), frame(OPCODE.ping, 'now')]));

    expect((await peer.response()).statusLine).toBe('HTTP/1.1 101 Switching Protocols');
    const frames = [await peer.expectFrame(), await peer.expectFrame()];
    expect(frames.find(({ opcode }) => opcode === OPCODE.binary)?.payload).toEqual(term(str('early')));
    expect(frames.find(({ opcode }) => opcode === OPCODE.pong)?.payload).toEqual(Buffer.from('now'));
  });

  it('may use credentials of any shape (§1.2)', async () => {
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

  it('may send a header of 1,020 bytes (§1.2)', async () => {
    await expectAlive(await cloud.open({ auth: headerOfLength(1_020) }));
  });

  it('may have an id of 125 bytes (§1.2)', async () => {
    const deviceId = 'ä'.repeat(62) + '!';
    await expectAlive(await cloud.open({ deviceId }));
  });

  it('is accepted while another device has sent only half of its request', async () => {
    const slow = await cloud.connect();
    slow.write(request({ deviceId: 'slow' }).subarray(0, 60));

    await expectAlive(await cloud.open({ deviceId: 'quick' }));

    slow.write(request({ deviceId: 'slow' }).subarray(60));
    expect((await slow.response()).statusLine).toBe('HTTP/1.1 101 Switching Protocols');
  });
});

describe('A device gets 403 without a body in one read (§1.4), and is reported,', () => {
  const invalid = (info: string) => ({ deviceId: null, type: 'invalid_auth_header', info });
  const id = str('nerves-242a');
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  const login = loginHeader('nerves-242a');
  /** Its Base64 contains padding, and both characters that base64url replaces. */
  const awkward = base64(
    term(
      strMap({ 'fedecks-device-id': id, password: str(PASSWORD), a: str(Buffer.from('fbfffefbef', 'hex')) }),
    ),
  );

  it('but not for the auth header that the next tests modify', async () => {
    expect(awkward).toMatch(/\+.*\/.*=$|\/.*\+.*=$/);
    await expectAlive(await cloud.open({ auth: awkward }));
  });

  it.each<[string, Presented['auth'], string]>([
    ['without the header', undefined, 'missing'],
    ['with a header that is not Base64', 'not base64 at all!', 'not base64'],
    ['with unpadded Base64', awkward.replace(/=+$/, ''), 'not base64'],
    ['with base64url', awkward.replaceAll('+', '-').replaceAll('/', '_'), 'not base64'],
    ['with spaces in its Base64', `${login.slice(0, 8)} ${login.slice(8)}`, 'not base64'],
    ['when it sends the header twice', [login, login], 'not base64'],
    [
      'with bytes that are not a term',
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
    ['with 1,024 bytes that are not Base64', '!'.repeat(1_024), 'too long'],
  ])('%s', async (_, auth, info) => {
    await expectRefused({ auth });
    expect(await cloud.errors.next()).toEqual(invalid(info));
  });

  it('with a compressed term, however small', async () => {
    const fields = compressedTerm(strMap({ 'fedecks-device-id': id, password: str(PASSWORD) }));
    await expectRefused({ auth: base64(fields) });
    expect(await cloud.errors.next()).toEqual(invalid('encoded binary auth was invalid or unsafe'));
  });

  it('when the authenticator rejects it', async () => {
    await expectRefused({ auth: loginHeader('nerves-242a', 'wrong') });
    expect(await cloud.errors.next()).toEqual({
      deviceId: 'nerves-242a',
      type: 'authentication_failed',
      info: '',
    });
  });

  it('in one read each time', async () => {
    for (let attempt = 0; attempt < 20; attempt++) {
      await expectRefused({ auth: loginHeader('nerves-242a', 'wrong') });
      await cloud.errors.next();
    }
  });

  it.each<[string, Uint8Array]>([
    ['with a token that was never issued', str('not a token')],
    ['with an empty token', str('')],
    ['with a token that is nil', atom('nil')],
    ['with a token that is a number', int(42)],
    ['with a token that is a charlist', chars('abc')],
    ['with a token that is not UTF-8', str(Buffer.from('fffe', 'hex'))],
    ['with a token that is a map', strMap({ a: int(1) })],
  ])('%s', async (_, token) => {
    await expectRefused({ auth: authHeader({ 'fedecks-device-id': id, 'fedecks-token': token }) });
    expect(await cloud.errors.next()).toEqual({ deviceId: 'nerves-242a', type: 'invalid_token', info: '' });
  });

  it('with the token of another device, which the report names', async () => {
    const token = await tokenOf('nerves-of-another');
    await expectRefused({ auth: tokenHeader('nerves-242a', token) });
    expect(await cloud.errors.next()).toEqual({
      deviceId: 'nerves-242a',
      type: 'invalid_token',
      info: "wrong device id in token, 'nerves-of-another'",
    });
  });

  it('with a token in which one character was changed', async () => {
    const token = await tokenOf('nerves-242a');
    const middle = Math.floor(token.length / 2);
    const changed = token.slice(0, middle) + (token[middle] === 'A' ? 'B' : 'A') + token.slice(middle + 1);
    await expectRefused({ auth: tokenHeader('nerves-242a', changed) });
    expect(await cloud.errors.next()).toEqual({ deviceId: 'nerves-242a', type: 'invalid_token', info: '' });
  });
});

describe('a fault of the cloud', () => {
  it('answers 503 without a body and with Retry-After when the authenticator throws (§1.5)', async () => {
    await expectRefused({ auth: loginHeader('nerves-242a', 'boom') }, cloud, '503 Service Unavailable');
    expect(await cloud.errors.next()).toMatchObject({ deviceId: 'nerves-242a', type: 'upgrade_failed' });
  });
});

describe('a token', () => {
  it('is accepted without calling the authenticator (§1.2)', async () => {
    const token = await tokenOf('returning');
    const asked = cloud.asked.length;
    await expectAlive(await cloud.open({ auth: tokenHeader('returning', token) }));
    expect(cloud.asked).toHaveLength(asked);
  });

  it('fits into a header together with the longest device id (§1.2)', async () => {
    const deviceId = 'n'.repeat(125);
    const auth = tokenHeader(deviceId, await tokenOf(deviceId));
    expect(auth.length).toBeLessThan(1_024);
    await expectAlive(await cloud.open({ auth }));
  });

  it('is accepted although the credentials beside it are wrong (§1.2)', async () => {
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
  ])('that is %s is rejected although the credentials beside it are right (§1.2)', async (_, token) => {
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

  it('signed with an unknown secret is rejected (§1.4)', async () => {
    const other = await startCloud({ secrets: ['y'.repeat(32)] });
    try {
      const token = await tokenOf('nerves-242a', other);
      await expectRefused({ auth: tokenHeader('nerves-242a', token) });
      expect(await cloud.errors.next()).toEqual({ deviceId: 'nerves-242a', type: 'invalid_token', info: '' });
    } finally {
      await other.close();
    }
  });

  it('is valid for four weeks (§1.2)', async () => {
    const token = await tokenOf('nerves-242a');
    const issuedAt = Date.now();
    const minuteMs = 60_000;
    const weekMs = 7 * 24 * 60 * minuteMs;
    // Only the wall clock is mocked: sockets and timers run normally.
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

describe('a request that is not a WebSocket upgrade', () => {
  const plain = { connection: undefined, upgrade: undefined, 'sec-websocket-key': undefined };

  it('gets 426 without a body when its authentication is valid (§1.6)', async () => {
    const { peer, response } = await cloud.ask({ headers: { ...plain, 'sec-websocket-version': undefined } });
    expect(response.statusLine).toBe('HTTP/1.1 426 Upgrade Required');
    expect(response.headers.get('upgrade')).toBe('websocket');
    expect(response.headers.get('content-length')).toBe('0');
    peer.end();
    await peer.ended();
    expect(Buffer.concat(peer.reads)).toEqual(response.firstRead);
  });

  it('gets 403 when its authentication is invalid (§1.6)', async () => {
    await expectRefused({ auth: loginHeader('nerves-242a', 'wrong'), headers: plain });
    expect(await cloud.errors.next()).toMatchObject({ type: 'authentication_failed' });
  });

  it.each<[string, Presented['headers']]>([
    ['without a key', { 'sec-websocket-key': undefined }],
    ['with a key that is not of 16 bytes', { 'sec-websocket-key': 'c2hvcnQ=' }],
    ['of another version', { 'sec-websocket-version': '8' }],
  ])('gets an error without a body when it is an upgrade %s (§1.6)', async (_, headers) => {
    const { peer, response } = await cloud.ask({ headers: { ...headers } });
    expect(response.statusLine).toMatch(/^HTTP\/1\.1 4(00|26) /);
    expect(response.headers.get('content-length')).toBe('0');
    peer.end();
    await peer.ended();
    expect(Buffer.concat(peer.reads)).toEqual(response.firstRead);
  });
});
