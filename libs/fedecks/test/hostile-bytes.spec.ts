import fc from 'fast-check';
import { type Cloud, loginHeader, request, startCloud } from './support/cloud.js';
import { mutated } from './support/mutated.js';
import { frame, OPCODE, RawPeer } from './support/raw-peer.js';
import { chars, int, str, term, tuple } from './support/term-bytes.js';

/** A short run; `npm run fuzz` runs longer: see scripts/fuzz/README.md. */
const RUNS = 200;

const ECHO = frame(OPCODE.binary, term(tuple(str('echo'), int(3))));
const ECHOED = term(int(3));

let cloud: Cloud;
let honest: RawPeer;

beforeAll(async () => {
  cloud = await startCloud({ upgradesPerAddressPerMinute: 0 });
  honest = await cloud.open({ deviceId: 'honest' });
});

afterAll(async () => {
  await cloud.close();
});

async function expectEcho(): Promise<void> {
  honest.write(ECHO);
  expect((await honest.expectFrame()).payload).toEqual(ECHOED);
}

/** Writes bytes and a FIN on a new connection; resolves with all bytes the server wrote before it closed. */
async function exchange(bytes: Buffer, upgradeFirst?: string): Promise<string> {
  const peer = await RawPeer.connect(cloud.port);
  try {
    if (upgradeFirst !== undefined) {
      peer.write(request({ deviceId: upgradeFirst }));
      await peer.response();
    }
    peer.write(bytes);
    peer.end();
    await peer.ended();
    return Buffer.concat(peer.reads).toString('latin1');
  } finally {
    peer.destroy();
  }
}

describe('the server, with hostile bytes', () => {
  it('answers any upgrade request with a status other than 500, or closes (§1.5)', async () => {
    const requests = [
      request(),
      request({ auth: undefined }),
      request({ headers: { upgrade: undefined, connection: 'keep-alive' } }),
      request({ auth: [loginHeader('a'), loginHeader('b')] }),
      request({ target: '/fedecks/websocket/?vsn=2.0.0', headers: { 'sec-websocket-version': '8' } }),
      request({ headers: { 'x-forwarded-for': '[::1]:80, 10.0.0.1', 'content-length': '3' } }),
    ];
    const parts = [
      '\r\n',
      '\r\n\r\n',
      '\0',
      '%ff',
      ', ',
      'expect: 100-continue\r\n',
      'transfer-encoding: chunked\r\n',
    ];
    const bytes = fc.oneof(
      {
        weight: 4,
        arbitrary: mutated(
          requests,
          parts.map((text) => Buffer.from(text)),
        ),
      },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((noise) => Buffer.from(noise)) },
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (given) => {
        const answer = await exchange(given);
        if (answer !== '') expect(answer).toMatch(/^HTTP\/1\.1 (?!500)[1-5]\d\d /);
      }),
      { numRuns: RUNS },
    );
    await expectEcho();
  }, 60_000);

  it('closes a device that sends random frames, and keeps serving others (§2.11)', async () => {
    const token = frame(OPCODE.binary, term(chars('token_please')));
    const sequences = [
      [token, ECHO, frame(OPCODE.ping, 'nerves')],
      [frame(OPCODE.text, 'caf\u00e9'), frame(OPCODE.pong), frame(OPCODE.close, Buffer.from([3, 232]))],
      [frame(OPCODE.binary, 'a', { fin: false }), frame(OPCODE.ping), frame(OPCODE.continuation, 'b')],
      [frame(OPCODE.binary, Buffer.alloc(300)), frame(OPCODE.binary, '', { claimedBytes: 2 ** 53 })],
      [
        frame(OPCODE.text, Buffer.from([0xff])),
        frame(3, 'x', { rsv: 4 }),
        frame(OPCODE.ping, Buffer.alloc(126)),
      ],
    ].map((frames) => Buffer.concat(frames));
    const parts = [ECHO, token, frame(OPCODE.continuation, '', { fin: false }), frame(OPCODE.ping)];
    let device = 0;
    await fc.assert(
      fc.asyncProperty(mutated(sequences, parts), async (given) => {
        expect(await exchange(given, `hostile-${++device}`)).toMatch(/^HTTP\/1\.1 101 /);
        if (device % 10 === 0) await expectEcho();
      }),
      { numRuns: RUNS },
    );
    await expectEcho();
  }, 60_000);
});
