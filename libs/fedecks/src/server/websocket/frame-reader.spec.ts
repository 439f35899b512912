import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { eventsOf } from '../../../test/support/frame-events.js';
import { frame, type FrameFlaws, OPCODE } from '../../../test/support/raw-peer.js';
import { FOUND, FrameReader, MAX_FRAGMENTS } from './frame-reader.js';

const LIMIT = 1_000;
const { continuation, text, binary, close, ping, pong } = OPCODE;

function read(...chunks: readonly Buffer[]): string[] {
  return eventsOf(new FrameReader(LIMIT), ...chunks);
}

function first(payload: string | Uint8Array, opcode: number = binary): Buffer {
  return frame(opcode, payload, { fin: false });
}

function more(payload: string | Uint8Array, flaws: FrameFlaws = {}): Buffer {
  return frame(continuation, payload, { fin: false, ...flaws });
}

function last(payload: string | Uint8Array): Buffer {
  return frame(continuation, payload);
}

function closing(code: number, reason: string | Uint8Array = ''): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(code);
  return frame(close, Buffer.concat([bytes, Buffer.from(reason)]));
}

/** A header with a 64-bit length, which `frame` cannot build. */
function claim(length: bigint): Buffer {
  const header = Buffer.from('82ff0000000000000000', 'hex');
  header.writeBigUInt64BE(length, 2);
  return header;
}

const CONVERSATION = Buffer.concat([
  frame(binary, Buffer.from('00ff', 'hex')),
  frame(ping, 'nerves'),
  frame(binary),
  first('hel', text),
  frame(pong, 'between'),
  more(''),
  last('lo'),
  frame(binary, Buffer.alloc(200, 1)),
  frame(ping),
  closing(1000, 'bye'),
]);
const EVENTS = [
  'binary 00ff',
  'ping nerves',
  'binary',
  'part',
  'pong between',
  'part',
  'text hello',
  `binary ${'01'.repeat(200)}`,
  'ping',
  'close 1000 bye',
];

describe('FrameReader.next', () => {
  it('returns frames, fragments and control frames in order', () => {
    expect(read(CONVERSATION)).toEqual(EVENTS);
  });

  it('returns the same wherever the bytes are split', () => {
    for (let at = 1; at < CONVERSATION.length; at++) {
      expect(read(CONVERSATION.subarray(0, at), CONVERSATION.subarray(at))).toEqual(EVENTS);
    }
  });

  it('returns the same when the bytes arrive one by one', () => {
    expect(read(...[...CONVERSATION].map((byte) => Buffer.of(byte)))).toEqual(EVENTS);
  });

  it('returns the same when several chunks arrive before it is called', () => {
    const reader = new FrameReader(LIMIT);
    for (let at = 0; at < CONVERSATION.length; at += 5) {
      reader.append(Buffer.from(CONVERSATION.subarray(at, at + 5)));
    }
    expect(reader.pendingBytes).toBe(CONVERSATION.length);
    expect(eventsOf(reader, Buffer.alloc(0))).toEqual(EVENTS);
    expect(reader.pendingBytes).toBe(0);
  });

  it('keeps the order when chunks arrive between two events', () => {
    const reader = new FrameReader(LIMIT);
    const pings: string[] = [];
    for (const chunk of [['a', 'b'], ['c'], ['d'], []]) {
      reader.append(Buffer.concat(chunk.map((payload) => frame(ping, payload))));
      expect(reader.next()).toBe(FOUND.ping);
      pings.push(reader.payload.toString());
    }
    expect(pings).toEqual(['a', 'b', 'c', 'd']);
    expect(reader.next()).toBe(FOUND.nothing);
  });

  it('accepts lengths with more bytes than needed, as ws does', () => {
    const wide = Buffer.from('82fe0002000000000102', 'hex');
    const widest = Buffer.from('82ff0000000000000002000000000304', 'hex');
    expect(read(wide, widest)).toEqual(['binary 0102', 'binary 0304']);
  });

  it.each<[string, number, Buffer]>([
    ['the first reserved bit', 1002, frame(binary, 'x', { rsv: 4 })],
    ['the second reserved bit', 1002, frame(text, 'x', { rsv: 2 })],
    ['the third reserved bit in a ping', 1002, frame(ping, 'x', { rsv: 1 })],
    ['a reserved bit in a continuation', 1002, Buffer.concat([first('x'), more('x', { rsv: 4 })])],
    ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): [string, number, Buffer] => [
      `opcode ${opcode}`,
      1002,
      frame(opcode, 'x'),
    ]),
    ['an unmasked message', 1002, frame(binary, 'x', { masked: false })],
    ['an unmasked ping', 1002, frame(ping, '', { masked: false })],
    ['a fragmented ping', 1002, frame(ping, 'x', { fin: false })],
    ['a fragmented close', 1002, frame(close, '', { fin: false })],
    ['a ping of 126 bytes', 1002, frame(ping, Buffer.alloc(126))],
    ['a pong of 65,536 bytes', 1002, frame(pong, Buffer.alloc(65_536))],
    ['a close of 126 bytes', 1002, closing(1000, Buffer.alloc(124, 'x'))],
    ['a close of 1 byte', 1002, frame(close, 'x')],
    ['a continuation without a message', 1002, last('x')],
    ['a continuation of a finished message', 1002, Buffer.concat([first('x'), last('x'), last('x')])],
    ['a message inside another', 1002, Buffer.concat([first('x'), frame(binary, 'x')])],
    ['a fragmented message inside another', 1002, Buffer.concat([first('x'), first('x', text)])],
    ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map(
      (code): [string, number, Buffer] => [`close code ${code}`, 1002, closing(code)],
    ),
    ['a reason that is not UTF-8', 1007, closing(1000, Buffer.from('ff', 'hex'))],
    ['text that is not UTF-8', 1007, frame(text, Buffer.from('61ff', 'hex'))],
    ['text that ends within a character', 1007, frame(text, Buffer.from('f09fa6', 'hex'))],
    ['fragments that end within one', 1007, Buffer.concat([first('a', text), last(Buffer.of(0xf0))])],
    ['a frame over the limit', 1009, frame(binary, Buffer.alloc(LIMIT + 1))],
    ['fragments over the limit', 1009, Buffer.concat([first(Buffer.alloc(LIMIT)), last('x')])],
    ['the header of a frame over the limit', 1009, claim(1_001n).subarray(0, 10)],
    ['a length of 2^32', 1009, claim(2n ** 32n)],
    ['a length of 2^53', 1009, claim(2n ** 53n)],
    ['a length of 2^64 - 1', 1009, claim(2n ** 64n - 1n)],
  ])('returns a violation for %s, %i, and nothing more', (_, code, bytes) => {
    const reader = new FrameReader(LIMIT);
    const events = eventsOf(reader, bytes, frame(binary, 'late'), frame(ping, 'late'));
    expect(events.filter((event) => event !== 'part' && event !== 'binary 7878')).toEqual([
      `violation ${code}`,
    ]);
    expect(reader.problem).not.toBe('');
    expect(reader.pendingBytes).toBe(0);
  });

  it('returns a violation as soon as two bytes show it', () => {
    for (const bytes of ['a281', '8201', '8381', '8901', '89fe', '8881', '0980']) {
      expect(read(Buffer.from(bytes, 'hex'))).toEqual(['violation 1002']);
    }
  });

  it.each([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])(
    'returns close code %i',
    (code) => {
      expect(read(closing(code, 'why 🦊'))).toEqual([`close ${code} why 🦊`]);
    },
  );

  it('returns 1005 for a close frame without a code', () => {
    expect(read(frame(close))).toEqual(['close 1005']);
  });

  it('returns nothing after a close frame', () => {
    expect(read(closing(1000), frame(binary, 'late'), frame(3))).toEqual(['close 1000']);
  });

  it('accepts a message of exactly the limit, in one frame and in fragments', () => {
    const half = Buffer.alloc(LIMIT / 2, 1);
    const whole = `binary ${'01'.repeat(LIMIT)}`;
    const one = frame(binary, Buffer.alloc(LIMIT, 1));
    expect(read(one, Buffer.concat([first(half), last(half)]), one)).toEqual([whole, 'part', whole, whole]);
  });

  it(`accepts ${MAX_FRAGMENTS} fragments per message, and returns 1008 for one more`, () => {
    const empty = more('');
    const most = Buffer.concat([first(''), ...Array.from({ length: MAX_FRAGMENTS - 2 }, () => empty)]);
    const reader = new FrameReader(LIMIT);
    for (let message = 0; message < 2; message++) {
      const events = eventsOf(reader, most, last('x'));
      expect(events).toHaveLength(MAX_FRAGMENTS);
      expect(events.at(-1)).toBe('binary 78');
    }
    expect(eventsOf(reader, most, empty, empty).slice(MAX_FRAGMENTS - 1)).toEqual(['part', 'violation 1008']);
  });
});

describe('FrameReader.payload', () => {
  it('is a view of the chunk, without a copy, when the frame is complete', () => {
    const reader = new FrameReader(LIMIT);
    const chunk = Buffer.from(frame(binary, 'hello'));
    reader.append(chunk);
    expect(reader.next()).toBe(FOUND.binary);
    expect(reader.payload.toString()).toBe('hello');
    expect(reader.payload.buffer).toBe(chunk.buffer);
  });

  it('is released when there is nothing more', () => {
    const reader = new FrameReader(LIMIT);
    eventsOf(reader, frame(binary, 'hello'));
    expect(reader.payload).toHaveLength(0);
  });
});

describe('FrameReader.ownPayload', () => {
  it('returns a copy when the chunk is more than twice as large, unaffected by later frames', () => {
    const reader = new FrameReader(LIMIT);
    reader.append(
      Buffer.from(new Uint8Array(Buffer.concat([frame(binary, 'hello'), frame(binary, 'world')]))),
    );
    reader.next();
    const { payload } = reader;
    const own = reader.ownPayload();
    payload.fill('x');
    expect(own.toString()).toBe('hello');
    expect(own.buffer.byteLength).toBe(5);
  });

  it('returns the payload itself when it is most of its chunk', () => {
    const reader = new FrameReader(LIMIT);
    const bytes = frame(binary, Buffer.alloc(500));
    const chunk = Buffer.from(new ArrayBuffer(bytes.length));
    bytes.copy(chunk);
    reader.append(chunk);
    reader.next();
    expect(reader.ownPayload()).toBe(reader.payload);
  });
});

describe('FrameReader.unfinished', () => {
  it('is set while part of a frame or message is missing, with the number of bytes received', () => {
    const reader = new FrameReader(LIMIT);
    const state = (chunk: Buffer): [boolean, number] => {
      eventsOf(reader, chunk);
      return [reader.unfinished, reader.unfinishedBytes];
    };
    const bytes = frame(binary, Buffer.alloc(100));
    expect(state(Buffer.alloc(0))).toEqual([false, 0]);
    expect(state(bytes.subarray(0, 1))).toEqual([true, 1]);
    expect(state(bytes.subarray(1, 6))).toEqual([true, 0]);
    expect(state(bytes.subarray(6, 36))).toEqual([true, 30]);
    expect(state(bytes.subarray(36))).toEqual([false, 0]);
    expect(state(first(''))).toEqual([true, 0]);
    expect(state(more('four'))).toEqual([true, 4]);
    expect(state(frame(ping))).toEqual([true, 4]);
    expect(state(last('x'))).toEqual([false, 0]);
  });
});

describe('memory of a FrameReader', () => {
  const LARGE = 4 * 1024 * 1024;

  /** Bytes allocated by Buffer while `work` runs, without those of Node's pool. */
  function allocated(work: () => void): number {
    const original = Buffer.allocUnsafeSlow.bind(Buffer);
    let bytes = 0;
    Buffer.allocUnsafeSlow = (size) => {
      bytes += size;
      return original(size);
    };
    try {
      work();
    } finally {
      Buffer.allocUnsafeSlow = original;
    }
    return bytes;
  }

  it('grows with received bytes, not with the length in a header', () => {
    const reader = new FrameReader(LARGE);
    const chunk = Buffer.concat([claim(BigInt(LARGE)), Buffer.alloc(4), Buffer.alloc(100)]);
    expect(allocated(() => eventsOf(reader, chunk))).toBeLessThan(1_000);
  });

  it('allocates a small multiple of a message that arrives in single bytes', () => {
    const reader = new FrameReader(LARGE);
    const bytes = frame(binary, Buffer.alloc(100_000));
    const sum = allocated(() => {
      for (let at = 0; at < bytes.length - 1; at++) eventsOf(reader, bytes.subarray(at, at + 1));
    });
    expect(reader.unfinishedBytes).toBe(99_999);
    expect(sum).toBeLessThan(4 * bytes.length);
  });

  it('allocates a small multiple of a message of many small fragments', () => {
    const reader = new FrameReader(LARGE);
    const fragments = Array.from({ length: 10_000 }, () => more('0123456789'));
    const sum = allocated(() => eventsOf(reader, first(''), Buffer.concat(fragments)));
    expect(reader.unfinishedBytes).toBe(100_000);
    expect(sum).toBeLessThan(4 * 100_000);
  });

  it.each<[string, Buffer]>([
    ['a header', frame(binary, 'later').subarray(0, 3)],
    ['a ping', frame(ping, Buffer.alloc(125)).subarray(0, 60)],
    ['a frame', frame(binary, 'later').subarray(0, 8)],
    ['a fragmented message', first('part')],
  ])('retains no chunk that ends within %s', async (_, end) => {
    const bytes = Buffer.concat([frame(binary, Buffer.alloc(500)), end]);
    const readers = Array.from({ length: 20 }, () => new FrameReader(LIMIT));
    const chunks = readers.map((reader) => {
      const memory = new ArrayBuffer(64 * 1024);
      const chunk = Buffer.from(memory, 0, bytes.length);
      bytes.copy(chunk);
      reader.append(chunk);
      while (reader.next() !== FOUND.nothing);
      return new WeakRef(memory);
    });
    // A WeakRef keeps its target alive until the end of the current turn.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();

    expect(readers.every(({ unfinished }) => unfinished)).toBe(true);
    // The last one may still be in a register.
    expect(chunks.filter((chunk) => chunk.deref()).length).toBeLessThan(3);
  });
});

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
