/**
 * The cases of the Autobahn test suite for a server without extensions, by their numbers: what its fuzzing
 * client sends, and what a server must read. Sections 12 and 13 test compression.
 *
 * Each case is read in one chunk, frame by frame, and byte by byte, which the suite tests separately. What
 * the client sends after a close frame or a violation must have no effect.
 */
import { FrameReader } from '../src/server/websocket/frame-reader.js';
import { eventsOf } from './support/frame-events.js';
import { frame, type FrameFlaws, OPCODE } from './support/raw-peer.js';

const LIMIT = 1024 * 1024;
const { continuation, text, binary, close, ping, pong } = OPCODE;

type Case = readonly [name: string, frames: readonly Buffer[], events: readonly string[]];

const part = (opcode: number, payload: string | Uint8Array = '', flaws: FrameFlaws = {}): Buffer =>
  frame(opcode, payload, { fin: false, ...flaws });
const hex = (bytes: string): Buffer => Buffer.from(bytes, 'hex');
const closing = (code: number, reason: string | Uint8Array = ''): Buffer =>
  frame(close, Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(reason)]));
const HELLO = frame(text, 'Hello, world!');
const SAID_HELLO = 'text Hello, world!';
const PING = frame(ping);
const BYE = closing(1000);
const SAID_BYE = 'close 1000';
const STARS = '*'.repeat(125);

function readAll(bytes: Buffer, chunkBytes: number): string[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) chunks.push(bytes.subarray(at, at + chunkBytes));
  return eventsOf(new FrameReader(LIMIT), ...chunks);
}

function check(cases: readonly Case[]): void {
  it.each(cases)('%s', (_, frames, events) => {
    const bytes = Buffer.concat(frames);
    expect(readAll(bytes, bytes.length)).toEqual(events);
    expect(eventsOf(new FrameReader(LIMIT), ...frames)).toEqual(events);
    expect(readAll(bytes, 1)).toEqual(events);
  });
}

describe('Autobahn 1, framing', () => {
  it.each([
    [1, 0],
    [2, 125],
    [3, 126],
    [4, 127],
    [5, 128],
    [6, 65_535],
    [7, 65_536],
    [8, 65_536],
  ])('1.1.%i and 1.2.%i: reads messages of any length', (number, length) => {
    const chunkBytes = number === 8 ? 997 : Infinity;
    const bytes = Buffer.concat([
      frame(text, '*'.repeat(length)),
      frame(binary, Buffer.alloc(length, 0xfe)),
      BYE,
    ]);
    const events = readAll(bytes, Math.min(chunkBytes, bytes.length));
    expect(events.length).toBe(3);
    expect(events[0] === `text ${'*'.repeat(length)}`.trim()).toBe(true);
    expect(events[1] === `binary ${'fe'.repeat(length)}`.trim()).toBe(true);
  });
});

describe('Autobahn 2, pings and pongs', () => {
  const ten = Array.from({ length: 10 }, (_, index) => `payload-${index}`);
  check([
    ['2.1: a ping without payload', [PING, BYE], ['ping', SAID_BYE]],
    ['2.2: a ping with text', [frame(ping, 'Hello, world!'), BYE], ['ping Hello, world!', SAID_BYE]],
    [
      '2.3: a ping with bytes',
      [frame(ping, hex('00fffefdfcfb00ff')), BYE],
      [`ping ${hex('00fffefdfcfb00ff').toString()}`, SAID_BYE],
    ],
    ['2.4 and 2.6: a ping of 125 bytes', [frame(ping, STARS), BYE], [`ping ${STARS}`, SAID_BYE]],
    ['2.5: a violation for a ping of 126 bytes', [frame(ping, `${STARS}*`), BYE], ['violation 1002']],
    ['2.7: an unsolicited pong', [frame(pong), BYE], ['pong', SAID_BYE]],
    ['2.8: a pong with payload', [frame(pong, 'unsolicited'), BYE], ['pong unsolicited', SAID_BYE]],
    [
      '2.9: a pong, and a ping',
      [frame(pong, 'unsolicited'), frame(ping, 'p'), BYE],
      ['pong unsolicited', 'ping p', SAID_BYE],
    ],
    [
      '2.10 and 2.11: ten pings',
      [...ten.map((payload) => frame(ping, payload)), BYE],
      [...ten.map((payload) => `ping ${payload}`), SAID_BYE],
    ],
  ]);
});

describe('Autobahn 3, reserved bits', () => {
  const rsv = (bits: number, opcode: number, payload: string | Uint8Array = ''): Buffer =>
    frame(opcode, payload, { rsv: bits });
  check([
    ['3.1: a violation for RSV 1 in a text', [rsv(1, text, 'Hello, world!')], ['violation 1002']],
    [
      '3.2: a violation for RSV 2 after a text',
      [HELLO, rsv(2, text, 'Hello, world!'), PING],
      [SAID_HELLO, 'violation 1002'],
    ],
    [
      '3.3: a violation for RSV 3 after a text',
      [HELLO, rsv(3, text, 'Hello, world!'), PING],
      [SAID_HELLO, 'violation 1002'],
    ],
    [
      '3.4: a violation for RSV 4 after a text',
      [HELLO, rsv(4, text, 'Hello, world!'), PING],
      [SAID_HELLO, 'violation 1002'],
    ],
    ['3.5: a violation for RSV 5 in a binary', [rsv(5, binary, '\0\xff')], ['violation 1002']],
    ['3.6: a violation for RSV 6 in a ping', [rsv(6, ping, 'Hello, world!')], ['violation 1002']],
    ['3.7: a violation for RSV 7 in a close', [rsv(7, close, hex('03e8'))], ['violation 1002']],
  ]);
});

describe('Autobahn 4, opcodes', () => {
  check(
    [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode, index): Case[] => {
      const number = opcode < 8 ? `4.1.${index + 1}` : `4.2.${index - 4}`;
      return [
        [
          `${number}: a violation for opcode ${opcode} without payload`,
          [frame(opcode), PING],
          ['violation 1002'],
        ],
        [
          `${number}: a violation for opcode ${opcode} after a text`,
          [HELLO, frame(opcode, 'x'), PING],
          [SAID_HELLO, 'violation 1002'],
        ],
      ];
    }),
  );
});

describe('Autobahn 5, fragments', () => {
  const [one, two] = [part(text, 'fragment1'), frame(continuation, 'fragment2')];
  const whole = 'text fragment1fragment2';
  const orphan = (fin: boolean): Buffer => frame(continuation, 'non-continuation payload', { fin });
  check([
    ['5.1: a violation for a ping in two fragments', [part(ping, 'fragment1'), two], ['violation 1002']],
    ['5.2: a violation for a pong in two fragments', [part(pong, 'fragment1'), two], ['violation 1002']],
    ['5.3 to 5.5: a text of two fragments', [one, two, BYE], ['part', whole, SAID_BYE]],
    [
      '5.6 to 5.8: a ping between fragments',
      [one, frame(ping, 'ping'), two, BYE],
      ['part', 'ping ping', whole, SAID_BYE],
    ],
    [
      '5.9 to 5.11: a violation for a final continuation without a message',
      [orphan(true), HELLO],
      ['violation 1002'],
    ],
    [
      '5.12 to 5.14: a violation for a continuation without a message',
      [orphan(false), HELLO],
      ['violation 1002'],
    ],
    [
      '5.15: a violation for a continuation after the final fragment',
      [one, two, orphan(false), HELLO],
      ['part', whole, 'violation 1002'],
    ],
    [
      '5.16: a violation for a continuation before the first fragment',
      [orphan(false), one, two],
      ['violation 1002'],
    ],
    [
      '5.17: a violation for a final continuation before the first fragment',
      [orphan(true), one, two],
      ['violation 1002'],
    ],
    [
      '5.18: a violation for a new message within another',
      [one, frame(text, 'fragment2')],
      ['part', 'violation 1002'],
    ],
    [
      '5.19 and 5.20: pings between five fragments',
      [
        one,
        part(continuation, 'fragment2'),
        frame(ping, 'pong 1'),
        part(continuation, 'fragment3'),
        part(continuation, 'fragment4'),
        frame(ping, 'pong 2'),
        frame(continuation, 'fragment5'),
        BYE,
      ],
      [
        'part',
        'part',
        'ping pong 1',
        'part',
        'part',
        'ping pong 2',
        'text fragment1fragment2fragment3fragment4fragment5',
        SAID_BYE,
      ],
    ],
  ]);
});

describe('Autobahn 6, UTF-8', () => {
  const greek = Buffer.from('Hello-µ@ßöäüàá-UTF-8!!');
  const broken = Buffer.concat([Buffer.from('κόσμε'), hex('eda080'), Buffer.from('edited')]);
  const octets = (bytes: Buffer): Buffer[] => [
    ...[...bytes].map((byte, index) => part(index === 0 ? text : continuation, Buffer.of(byte))),
    frame(continuation),
  ];
  const parts = (count: number): string[] => Array.from({ length: count }, () => 'part');

  describe('valid text', () => {
    check([
      ['6.1.1: an empty text', [frame(text), BYE], ['text', SAID_BYE]],
      [
        '6.1.2: three empty fragments',
        [part(text), part(continuation), frame(continuation), BYE],
        ['part', 'part', 'text', SAID_BYE],
      ],
      [
        '6.1.3: a middle fragment that is not empty',
        [part(text), part(continuation, 'middle'), frame(continuation), BYE],
        ['part', 'part', 'text middle', SAID_BYE],
      ],
      ['6.2.1: multi-byte characters', [frame(text, greek), BYE], [`text ${greek.toString()}`, SAID_BYE]],
      [
        '6.2.2: the same in two fragments',
        [part(text, greek.subarray(0, 12)), frame(continuation, greek.subarray(12)), BYE],
        ['part', `text ${greek.toString()}`, SAID_BYE],
      ],
      [
        '6.2.3: the same with one byte per fragment',
        [...octets(greek), BYE],
        [...parts(greek.length), `text ${greek.toString()}`, SAID_BYE],
      ],
      [
        '6.2.4: κόσμε with one byte per fragment',
        [...octets(Buffer.from('κόσμε')), BYE],
        [...parts(10), 'text κόσμε', SAID_BYE],
      ],
    ]);
  });

  describe('invalid text (1007)', () => {
    check([
      ['6.3.1: a surrogate in a text', [frame(text, broken)], ['violation 1007']],
      [
        '6.3.2: the same with one byte per fragment',
        octets(broken),
        [...parts(broken.length), 'violation 1007'],
      ],
      [
        '6.4.1 to 6.4.4: an invalid second fragment of three',
        [part(text, 'κόσμε'), part(continuation, hex('f4908080')), frame(continuation, 'edited')],
        ['part', 'part', 'violation 1007'],
      ],
    ]);
  });

  it('6.5 and 6.6: accepts the prefixes of a text that end at a character boundary, and no others', () => {
    const bytes = Buffer.from('κόσμε');
    for (let length = 1; length <= bytes.length; length++) {
      const begun = bytes.subarray(0, length);
      const expected = length % 2 === 0 ? `text ${begun.toString()}` : 'violation 1007';
      expect(eventsOf(new FrameReader(LIMIT), frame(text, begun))).toEqual([expected]);
    }
  });

  const VALID: Record<string, string> = {
    '6.7, first sequence of each length': '00 c280 e0a080 f0908080',
    '6.9, last sequence of each length': '7f dfbf efbfbf f48fbfbf',
    '6.11.1 to 6.11.4, boundary conditions': 'ed9fbf ee8080 efbfbd f48fbfbf',
    '6.22, non-characters':
      'efbfbe efbfbf f09fbfbe f09fbfbf f0afbfbe f0afbfbf f3bfbfbe f3bfbfbf f48fbfbe f48fbfbf',
    '6.23, special code points': 'efbfb9 efbfba efbfbb efbfbc efbfbd efbfbe efbfbf',
  };
  const INVALID: Record<string, string> = {
    '6.8, five and six bytes': 'f888808080 fc8480808080',
    '6.10, last sequence of invalid lengths': 'f7bfbfbf fbbfbfbfbf fdbfbfbfbfbf',
    '6.11.5, beyond the last code point': 'f4908080',
    '6.12, unexpected continuation bytes':
      '80 bf 80bf 80bf80 80bf80bf 80bf80bf80 80bf80bf80bf 8081828384858687',
    '6.13, lonely start bytes': 'c020c120 e020e120 f020f120 f820f920 fc20',
    '6.14, missing last continuation byte':
      'c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf',
    '6.15, concatenated incomplete sequences': 'c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf',
    '6.16, impossible bytes': 'fe ff fefeffff',
    '6.17, overlong slash': 'c0af e080af f08080af f8808080af fc80808080af',
    '6.18, maximum overlong sequences': 'c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf',
    '6.19, overlong NUL': 'c080 e08080 f0808080 f880808080 fc8080808080',
    '6.20, single surrogates': 'eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf',
    '6.21, pairs of surrogates':
      'eda080edb080 eda080edbfbf edadbfedb080 edadbfedbfbf edae80edb080 edae80edbfbf edafbfedb080 edafbfedbfbf',
  };

  it.each(Object.entries(VALID))('accepts the sequences of %s', (_, sequences) => {
    for (const bytes of sequences.split(' ').map(hex)) {
      expect(eventsOf(new FrameReader(LIMIT), frame(text, bytes))).toEqual([
        `text ${bytes.toString()}`.trim(),
      ]);
    }
  });

  it.each(Object.entries(INVALID))('rejects the sequences of %s with 1007', (_, sequences) => {
    for (const bytes of sequences.split(' ').map(hex)) {
      expect(eventsOf(new FrameReader(LIMIT), frame(text, bytes))).toEqual(['violation 1007']);
      // Node checks long texts with other code than short ones.
      const long = Buffer.concat([Buffer.alloc(200, 'x'), bytes, Buffer.alloc(200, 'x')]);
      expect(eventsOf(new FrameReader(LIMIT), frame(text, long))).toEqual(['violation 1007']);
    }
  });
});

describe('Autobahn 7, closing', () => {
  const large = Buffer.alloc(256 * 1024, 'x');
  check([
    ['7.1.1: the close after a text', [HELLO, BYE], [SAID_HELLO, SAID_BYE]],
    ['7.1.2: only the first of two closes', [BYE, BYE], [SAID_BYE]],
    ['7.1.3: no ping after a close', [BYE, PING], [SAID_BYE]],
    ['7.1.4: no text after a close', [BYE, HELLO], [SAID_BYE]],
    [
      '7.1.5: a close within fragments',
      [part(text, 'fragment1'), BYE, frame(continuation, 'fragment2')],
      ['part', SAID_BYE],
    ],
    ['7.3.1: 1005 for a close without payload', [frame(close)], ['close 1005']],
    ['7.3.2: a violation for a close of 1 byte', [frame(close, 'a')], ['violation 1002']],
    ['7.3.3: a code', [closing(1000)], ['close 1000']],
    ['7.3.4: a code and a reason', [closing(1000, 'Hello World!')], ['close 1000 Hello World!']],
    ['7.3.5: a reason of 123 bytes', [closing(1000, '*'.repeat(123))], [`close 1000 ${'*'.repeat(123)}`]],
    ['7.3.6: a violation for a reason of 124 bytes', [closing(1000, '*'.repeat(124))], ['violation 1002']],
    [
      '7.5.1: a violation for a reason that is not UTF-8',
      [closing(1000, hex('cebae1bdb9cf83cebcceb5eda080656469746564'))],
      ['violation 1007'],
    ],
    ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].map(
      (code, index): Case => [`7.7.${index + 1}: code ${code}`, [closing(code)], [`close ${code}`]],
    ),
    ...[0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999].map((code, index): Case => [
      `7.9.${index + 1}: a violation for code ${code}`,
      [closing(code)],
      ['violation 1002'],
    ]),
    ...[5000, 65_535].map((code, index): Case => [
      `7.13.${index + 1}: a violation for code ${code}`,
      [closing(code)],
      ['violation 1002'],
    ]),
  ]);

  it('7.1.6: reads a text of 256 KiB and the close, and ignores the ping after it', () => {
    const bytes = Buffer.concat([frame(text, large), BYE, PING]);
    expect(readAll(bytes, 65_536).map((event) => event.slice(0, 10))).toEqual(['text xxxxx', SAID_BYE]);
  });
});

describe('Autobahn 9, limits, and 10, fragmentation', () => {
  const size = 256 * 1024;
  const message = Buffer.from(Array.from({ length: size }, (_, index) => 0x20 + (index % 90)));
  const fragments = (opcode: number, bytes: number): Buffer =>
    Buffer.concat(
      Array.from({ length: size / bytes }, (_, index) =>
        frame(index === 0 ? opcode : continuation, message.subarray(index * bytes, (index + 1) * bytes), {
          fin: (index + 1) * bytes === size,
        }),
      ),
    );
  const expectMessage = (event: string | undefined, opcode: number): void =>
    expect(
      event === (opcode === text ? `text ${message.toString()}` : `binary ${message.toString('hex')}`),
    ).toBe(true);

  it.each([
    ['9.1 and 9.3', text],
    ['9.2 and 9.4', binary],
  ])('%s: reads a large message, in one frame and in fragments of 64 bytes and more', (_, opcode) => {
    for (const bytes of [64, 256, 1_024, 4_096, 16_384, 65_536, size]) {
      const events = readAll(fragments(opcode, bytes), 65_536);
      expect(events).toHaveLength(size / bytes);
      expectMessage(events.at(-1), opcode);
    }
  });

  it.each([
    ['9.5', text],
    ['9.6', binary],
  ])('%s: reads a large message, in chunks of 64 bytes and more', (_, opcode) => {
    for (const bytes of [64, 128, 256, 512, 1_024, 2_048]) {
      const [event, ...others] = readAll(frame(opcode, message), bytes);
      expectMessage(event, opcode);
      expect(others).toEqual([]);
    }
  });

  it('9.7 and 9.8: reads a thousand messages of 0 to 4,096 bytes', () => {
    for (const bytes of [0, 16, 64, 256, 1_024, 4_096]) {
      const one = frame(text, '*'.repeat(bytes));
      const events = readAll(Buffer.concat(Array.from({ length: 1_000 }, () => one)), 65_536);
      expect(events.filter((event) => event === `text ${'*'.repeat(bytes)}`.trim())).toHaveLength(1_000);
    }
  });

  it('10.1.1: reads a text of 65,536 bytes in fragments of 1,300', () => {
    const whole = '*'.repeat(65_536);
    const frames: Buffer[] = [];
    for (let at = 0; at < whole.length; at += 1_300) {
      frames.push(
        frame(at === 0 ? text : continuation, whole.slice(at, at + 1_300), {
          fin: at + 1_300 >= whole.length,
        }),
      );
    }
    expect(eventsOf(new FrameReader(LIMIT), ...frames).at(-1) === `text ${whole}`).toBe(true);
  });
});
