import { deflateSync } from 'node:zlib';
import { atom, type DecodeOptions, decodeTerm, type TermDecodeError } from '@fedecks/nest/wire';

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function term(...parts: (string | Buffer)[]): Buffer {
  return Buffer.concat([
    Buffer.from('83', 'hex'),
    ...parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'hex') : part)),
  ]);
}

/** A list (108) or map (116) of identical members. */
function many(kind: '6c' | '74', count: number, member: (index: number) => Buffer | string): Buffer {
  const members = Array.from({ length: count }, (_, index) => member(index));
  return term(kind, u32(count), ...members, kind === '6c' ? '6a' : '');
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from('6d', 'hex'), u32(bytes.length), bytes]);
}

function int32(value: number): Buffer {
  return Buffer.concat([Buffer.from('62', 'hex'), u32(value >>> 0)]);
}

/** Bigints with equal low 64 bits. */
function bigint(index: number): Buffer {
  const bytes = Buffer.alloc(14);
  bytes.set([110, 11, 0]);
  bytes.writeUIntLE(index + 1, 11, 3);
  return bytes;
}

function compressed(plain: Buffer, claim = plain.length - 1): Buffer {
  return term('50', u32(claim), deflateSync(plain.subarray(1), { level: 9 }));
}

function codeOf(bytes: Buffer, options?: DecodeOptions): string {
  try {
    decodeTerm(bytes, options);
    return 'read';
  } catch (error) {
    return (error as TermDecodeError).code;
  }
}

describe('decodeTerm', () => {
  describe('maxElements (§4.5)', () => {
    it.each([
      ['a list', many('6c', 10, () => '6a')],
      ['a tuple', term('680a', '6a'.repeat(10))],
      ['a chain of lists', term('6c000000016a'.repeat(6), '6a')],
      ['a charlist', term('6b000a', '01'.repeat(10))],
      ['a map', many('74', 5, (index) => Buffer.concat([text(`k${index}`), Buffer.from('6a', 'hex')]))],
    ])('counts the members of %s', (_, bytes) => {
      expect(codeOf(bytes, { maxElements: 10 })).toBe('too-many');
      expect(codeOf(bytes, { maxElements: 100 })).toBe('read');
    });

    it.each([
      ['one-tuples', many('6c', 87_000, () => '68016a')],
      ['empty maps', many('6c', 52_000, () => '7400000000')],
      ['Maps of one key', many('6c', 32_000, () => '740000000161016a')],
      ['bytes', many('6c', 37_000, () => '4d000000010807')],
      [
        'distinct atoms',
        many('6c', 40_000, (index) => `7704${Buffer.from(index.toString(36).padStart(4)).toString('hex')}`),
      ],
      [
        'objects with keys of their own',
        many('6c', 15_000, (index) =>
          Buffer.concat([
            Buffer.from('7400000001', 'hex'),
            text(index.toString(36)),
            Buffer.from('6a', 'hex'),
          ]),
        ),
      ],
    ])('rejects a frame of %s', (_, bytes) => {
      expect(bytes.length).toBeLessThan(300_000);
      expect(codeOf(bytes)).toBe('too-many');
    });

    const NUMBER_KEYS = many('74', 33, (index) => Buffer.concat([int32(index), Buffer.from('6a', 'hex')]));
    it.each<[string, Buffer, number]>([
      ['a tuple', term('68016a'), 3],
      ['a list', term('6c000000016a6a'), 3],
      ['a list in three pieces', term('6c000000016a6c000000016a6c000000016a6a'), 7],
      ['a charlist', term('6b0003010203'), 5],
      ['an empty map', term('7400000000'), 2],
      ['a map with other keys', term('740000000161016a'), 8],
      ['a map with 33 numbers as keys', NUMBER_KEYS, 6 + 66 + 1],
      ['bytes', term('4d000000010807'), 4],
      ['a binary that is no UTF-8', term('6d00000001ff'), 4],
      ['a bit string', term('4d0000000107fe'), 6],
      ['a pid', term('58770161000000010000000200000003'), 6],
      ['an integer of 63 bytes', term('6e3f00', 'ff'.repeat(63)), 2],
      ['an integer of 64 bytes', term('6e4000', 'ff'.repeat(64)), 3],
      ['an atom nobody has used', term('7705', Buffer.from('§4.5')), 16],
    ])('counts %s as PROTOCOL.md says', (_, bytes, elements) => {
      expect(codeOf(bytes, { maxElements: elements - 1 })).toBe('too-many');
      expect(codeOf(bytes, { maxElements: elements })).toBe('read');
    });

    it('counts a key of an object as 7 when it is new, as 4 from the 129th on, and as 1 when it came there lately', () => {
      const object = (keys: number, kind: string): Buffer =>
        many('74', keys, (index) => Buffer.concat([text(`${kind} ${index}`), Buffer.from('6a', 'hex')]));
      expect(codeOf(object(2, 'few'), { maxElements: 2 + 2 * 8 - 1 })).toBe('too-many');
      expect(codeOf(object(2, 'more'), { maxElements: 2 + 2 * 8 })).toBe('read');
      expect(codeOf(object(2, 'more'), { maxElements: 2 + 2 * 2 - 1 })).toBe('too-many');
      expect(codeOf(object(2, 'more'), { maxElements: 2 + 2 * 2 })).toBe('read');
      expect(codeOf(object(129, 'many'), { maxElements: 2 + 128 * 8 + 5 - 1 })).toBe('too-many');
      expect(codeOf(object(129, 'others'), { maxElements: 2 + 128 * 8 + 5 })).toBe('read');
    });

    it('leaves room for honest messages of 256 KiB', () => {
      const readings = many('6c', 2_600, (index) =>
        Buffer.concat([
          Buffer.from('7400000003', 'hex'),
          text('sensor'),
          text(`sensor-${index}`),
          text('celsius'),
          Buffer.from('463ff8000000000000', 'hex'),
          text('at'),
          int32(index),
        ]),
      );
      expect(codeOf(readings)).toBe('read');
      const pairs = many('6c', 10_000, (index) =>
        Buffer.concat([Buffer.from('6802', 'hex'), int32(index), Buffer.from('463ff8000000000000', 'hex')]),
      );
      expect(codeOf(pairs)).toBe('read');
      const wide = many('74', 10_000, (index) => Buffer.concat([text(`aa:bb:cc:${index}`), int32(index)]));
      expect(codeOf(wide)).toBe('read');
    });

    it('throws a RangeError if it is not a positive number', () => {
      expect(() => decodeTerm(term('6a'), { maxElements: 0 })).toThrow(RangeError);
      expect(() => decodeTerm(term('6a'), { maxElements: NaN })).toThrow(RangeError);
    });
  });

  it.each([
    ['tuples', '6801', ''],
    ['lists', '6c00000001', '6a'],
    ['maps', '74000000016101', ''],
  ])('reads %s that are nested as deep as may be, and none that are deeper', (_, open, close) => {
    const bytes = term(open.repeat(3), '6a', close.repeat(3));
    expect(codeOf(bytes, { maxDepth: 3 })).toBe('read');
    expect(codeOf(bytes, { maxDepth: 2 })).toBe('too-deep');
  });

  it('reads a term of as many bytes as may be, and none of more', () => {
    const bytes = term('6d00000003616263');
    expect(codeOf(bytes, { maxBytes: 9 })).toBe('read');
    expect(codeOf(bytes, { maxBytes: 8 })).toBe('too-large');
  });

  it('checks the size that a map claims against the data before it counts elements', () => {
    const bytes = term('74', u32(60), '6a'.repeat(100));
    expect(codeOf(bytes, { maxElements: 100 })).toBe('truncated');
  });

  describe('keys of maps (§4.3)', () => {
    it('refuses many big integers as keys, which an engine finds alike', () => {
      const frame = (count: number): Buffer =>
        many('74', count, (index) => Buffer.concat([bigint(index), Buffer.from('6a', 'hex')]));
      expect(codeOf(frame(17_000))).toBe('too-many');
      expect(codeOf(frame(500))).toBe('read');
    });

    it('rejects many integer keys, also after a text key', () => {
      const entry = (index: number): Buffer => Buffer.concat([int32(index * 7919), Buffer.from('6a', 'hex')]);
      expect(codeOf(many('74', 40_000, entry))).toBe('too-many');
      expect(
        codeOf(many('74', 40_000, (i) => (i === 0 ? Buffer.concat([text('a'), text('b')]) : entry(i)))),
      ).toBe('too-many');
      expect(codeOf(many('74', 2_000, entry))).toBe('read');
    });

    it('counts a nested key at each level of comparison', () => {
      let key = Buffer.concat([
        Buffer.from('6c', 'hex'),
        u32(10_000),
        Buffer.alloc(20_000, '6101', 'hex'),
        Buffer.from('6a', 'hex'),
      ]);
      for (let level = 0; level < 15; level++)
        key = Buffer.concat([
          Buffer.from('7400000002', 'hex'),
          key,
          Buffer.from('6a6100', 'hex'),
          Buffer.from('6a', 'hex'),
        ]);
      expect(codeOf(term(key))).toBe('too-many');
    });

    it('reads maps that are keys of maps, 16 of them one in another', () => {
      const nested = (maps: number): Buffer => term('7400000001'.repeat(maps), '6101', '6a'.repeat(maps));
      expect(codeOf(nested(16))).toBe('read');
      expect(codeOf(nested(17))).toBe('too-deep');
    });

    it('reads them as before after many a message that broke off within a key', () => {
      for (let index = 0; index < 20; index++)
        expect(codeOf(term('7400000001', '7400000001', '6101'))).toBe('truncated');
      expect(decodeTerm(term('7400000001', '7400000001', '61016a', '6102'))).toEqual(
        new Map([[new Map([[1, []]]), 2]]),
      );
    });

    it.each<[string, string, unknown]>([
      ['true', '770474727565', true],
      ['false', '770566616c7365', false],
      ['nil', '77036e696c', null],
    ])('reads the atom %s as the value it is elsewhere', (_, key, value) => {
      expect(decodeTerm(term('7400000001', key, '6101'))).toEqual(new Map([[value, 1]]));
      expect(decodeTerm(term('7400000002', '770161', '6a', key, '6101'))).toEqual(
        new Map<unknown, unknown>([
          [atom('a'), []],
          [value, 1],
        ]),
      );
    });

    it.each([
      ['text', '6d000000095f5f70726f746f5f5f'],
      ['an atom', '77095f5f70726f746f5f5f'],
    ])('takes a key called __proto__ for one like any other: %s', (_, key) => {
      const read = decodeTerm(term('7400000001', key, '7400000001', text('admin'), '6101'));
      expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
      expect(Object.entries(read as object)).toEqual([['__proto__', { admin: 1 }]]);
      expect(codeOf(term('7400000002', key, '6a', key, '6a'))).toBe('duplicate-key');
    });

    it.each([
      ['an integer in two spellings', '6105', '6200000005'],
      ['a list in two spellings', '6b000105', '6c0000000161056a'],
      ['text, and the same as bytes', '6d0000000161', '4d000000010861'],
      ['bytes, and the same as text', '4d000000010861', '6d0000000161'],
      ['0.0 and -0.0', '460000000000000000', '468000000000000000'],
      ['an atom in two spellings', '770161', '64000161'],
      ['maps in another order', '740000000261016a61026a', '740000000261026a61016a'],
      ['pids', '58770161000000010000000000000001', '58770161000000010000000000000001'],
    ])('treats as one key: %s', (_, one, other) => {
      expect(codeOf(term('7400000002', one, '6a', other, '6a'))).toBe('duplicate-key');
      expect(codeOf(term('7400000003', '6d00000001ff', '6a', one, '6a', other, '6a'))).toBe('duplicate-key');
    });

    it.each([
      ['1 and 1.0', '6101', '463ff0000000000000'],
      ['text and an atom', '6d0000000161', '770161'],
      ['a list and a tuple', '6c0000000161016a', '68016101'],
      ['nil and the text nil', '77036e696c', '6d000000036e696c'],
    ])('treats as two keys: %s', (_, one, other) => {
      expect(codeOf(term('7400000002', one, '6a', other, '6a'))).toBe('read');
    });

    it('decodes nested values after non-text keys correctly', () => {
      expect(
        decodeTerm(term('7400000002', '6101', '7400000001', text('a'), '6101', text('b'), '6a')),
      ).toEqual(
        new Map<unknown, unknown>([
          [1, { a: 1 }],
          ['b', []],
        ]),
      );
    });
  });

  describe('compressed terms (§4.5)', () => {
    it('inflates up to 16 times the bytes plus 64 KiB', () => {
      const plain = term(text('the quick brown fox jumps over the lazy dog'.repeat(3)));
      expect(decodeTerm(compressed(plain))).toBe('the quick brown fox jumps over the lazy dog'.repeat(3));
    });

    it('rejects more than maxRatio times the bytes', () => {
      const bomb = compressed(many('6c', 20_000, () => '68016a'));
      expect(bomb.length).toBeLessThan(300);
      expect(codeOf(bomb)).toBe('too-large');
      expect(codeOf(bomb, { compressed: { maxRatio: 1_000, maxBytes: 65_536 } })).toBe('read');
    });

    it('rejects more than maxBytes', () => {
      const noise = term(
        text(Array.from({ length: 7_000 }, (_, i) => ((i * 2654435761) >>> 0).toString(36)).join('')),
      );
      const bytes = compressed(noise);
      expect(noise.length).toBeLessThan(bytes.length * 16);
      expect(codeOf(bytes, { compressed: { maxRatio: 16, maxBytes: noise.length - 2 } })).toBe('too-large');
      expect(codeOf(bytes, { compressed: { maxRatio: 16, maxBytes: noise.length - 1 } })).toBe('read');
    });

    it('rejects more than the claimed size', () => {
      expect(
        codeOf(
          compressed(
            many('6c', 20_000, () => '68016a'),
            1_000,
          ),
        ),
      ).toBe('invalid');
    });

    it('rejects all compressed terms when they are disabled', () => {
      expect(codeOf(compressed(term('6a')), { compressed: false })).toBe('unsafe');
      expect(codeOf(term('6a'), { compressed: false })).toBe('read');
    });
  });

  it('decodes integers of any length', () => {
    for (const value of [2n ** 53n, 2n ** 63n - 1n, 2n ** 64n - 1n, 2n ** 64n, 2n ** 200n + 7n]) {
      const hex = value.toString(16);
      const digits = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').reverse();
      expect(decodeTerm(term('6e', Buffer.of(digits.length, 0), digits))).toBe(value);
      expect(decodeTerm(term('6e', Buffer.of(digits.length, 1), digits))).toBe(-value);
    }
    expect(decodeTerm(term('6e', '070001000000000000'))).toBe(1);
    // Erlang takes any sign but 0 for a minus.
    for (const sign of ['01', '02', 'ff'])
      expect(decodeTerm(term('6e06', sign, '000000000001'))).toBe(-(2 ** 40));
  });

  it('reads atoms of 255 characters, of however many bytes, and none of more', () => {
    for (const character of ['a', 'ä', '\u{1f331}']) {
      const spelled = (characters: number): Buffer => {
        const name = Buffer.from(character.repeat(characters));
        return term('76', Buffer.of(name.length >> 8, name.length & 255), name);
      };
      expect(decodeTerm(spelled(255))).toBe(atom(character.repeat(255)));
      expect(codeOf(spelled(256))).toBe('invalid');
    }
  });

  it('gives bytes that keep nothing else in memory where they are few, and views where they are many', () => {
    const bytesOf = (length: number): Buffer => term('4d', u32(length), '08', Buffer.alloc(length, 7));
    expect((decodeTerm(bytesOf(4_096)) as Uint8Array).buffer.byteLength).toBe(4_096);
    const frame = bytesOf(4_097);
    const view = decodeTerm(frame) as Uint8Array;
    expect([view.length, view.buffer === frame.buffer]).toEqual([4_097, true]);
  });

  it('returns tuples as arrays, and one object per atom', () => {
    const pair = decodeTerm(term('6802', '770161', '770161')) as unknown[];
    expect(Array.isArray(pair)).toBe(true);
    expect(pair[0]).toBe(atom('a'));
    expect(pair[1]).toBe(pair[0]);
    expect(pair.map(String)).toEqual(['a', 'a']);
  });
});
