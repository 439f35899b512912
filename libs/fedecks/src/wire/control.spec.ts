import { chars, int, longChars, str, term, tuple } from '../../test/support/term-bytes.js';
import {
  type ControlMessage,
  controlTypeOf,
  decodeControl,
  encodeControlAfter,
  readControlHead,
  type RequestControl,
} from './control.js';
import { type Term } from './term.js';

const READ = { read: 3 };
const READ_BYTES = Buffer.concat([Buffer.from('7400000001', 'hex'), str('read'), int(3)]);

/** Messages with a value or message, and their bytes (PROTOCOL.md §6.2). */
const AROUND: readonly [RequestControl, Buffer][] = [
  [
    { type: 'request', id: 1, remainingMs: 30_000, message: READ },
    term(tuple(chars('request'), int(1), int(30_000), READ_BYTES)),
  ],
  [
    { type: 'request', id: 256, remainingMs: -1, message: 5 },
    term(tuple(chars('request'), int(256), int(-1), int(5))),
  ],
  [{ type: 'reply', id: 255, value: READ }, term(tuple(chars('reply'), int(255), READ_BYTES))],
  [{ type: 'next', id: 2 ** 31 - 1, value: READ }, term(tuple(chars('next'), int(2 ** 31 - 1), READ_BYTES))],
];

describe('a control message around a term', () => {
  it.each(AROUND)('is written behind a gap, and read: %j', (control, bytes) => {
    expect(encodeControlAfter(10, control).subarray(10).toString('hex')).toBe(bytes.toString('hex'));
    const head = readControlHead(bytes, control.type);
    expect(head && decodeControl(bytes, head)).toEqual(control);
  });

  it.each(AROUND)('is not read when a byte is missing: %j', (control, bytes) => {
    for (let length = 0; length < bytes.length; length++) {
      const cut = bytes.subarray(0, length);
      const head = readControlHead(cut, control.type);
      expect(head && decodeControl(cut, head)).toBeUndefined();
    }
  });

  it('takes a term as deep as a message of its own may be', () => {
    let value: Term = 'deep';
    for (let depth = 0; depth < 256; depth++) value = [value];
    const bytes = encodeControlAfter(0, { type: 'reply', id: 1, value });
    const head = readControlHead(bytes, 'reply');
    expect(head && decodeControl(bytes, head)).toEqual({ type: 'reply', id: 1, value });
    expect(() => encodeControlAfter(0, { type: 'reply', id: 1, value: [value] })).toThrow(/nested/);
  });

  it('has no compressed term in it', () => {
    const bytes = term(tuple(chars('reply'), int(1), Buffer.from([0x50, 0, 0, 0, 1])));
    const head = readControlHead(bytes, 'reply');
    expect(head && decodeControl(bytes, head)).toBeUndefined();
  });
});

/** The numbers of elements of the table of PROTOCOL.md §6.2. */
const ELEMENTS: Readonly<Record<ControlMessage['type'], number>> = {
  request: 4,
  reply: 3,
  next: 3,
  complete: 2,
  error: 4,
  cancel: 2,
  resume: 4,
  deliver: 8,
  result: 4,
  ack: 5,
  nack: 5,
};

describe('the type of a control message', () => {
  it.each(Object.entries(ELEMENTS))(
    'is %s with that name as a charlist and %i elements',
    (name, elements) => {
      const message = (first: Buffer, count: number): Buffer =>
        term(tuple(first, ...new Array<Buffer>(count - 1).fill(int(1))));
      const good = message(chars(name), elements);
      expect(controlTypeOf(good)).toBe(name);
      // Every byte of the spelling counts.
      for (let at = 0; at < 6 + name.length; at++) {
        const other = Buffer.from(good);
        other[at]! ^= 0x40;
        expect(controlTypeOf(other)).toBeUndefined();
      }
      for (const other of [
        message(chars(name), elements + 1),
        message(longChars(name), elements),
        message(str(name), elements),
        good.subarray(0, 5 + name.length),
        Buffer.alloc(0),
      ])
        expect(controlTypeOf(other)).toBeUndefined();
    },
  );
});
