import { binaryFrame, closeFrame, frameInGap, HEADER_BYTES, payloadOf, pongFrame } from './frame-writer.js';

/** Lengths, and their headers by RFC 6455 §5.2: final, binary, unmasked. */
const HEADERS: [number, string][] = [
  [0, '8200'],
  [1, '8201'],
  [125, '827d'],
  [126, '827e007e'],
  [127, '827e007f'],
  [65_535, '827effff'],
  [65_536, '827f0000000000010000'],
  [70_000, '827f0000000000011170'],
];

describe('frameInGap', () => {
  it.each(HEADERS)('writes the header right before a payload of %i bytes', (length, header) => {
    const bytes = Buffer.alloc(HEADER_BYTES + length, 'x');
    const frame = frameInGap(bytes);
    expect(frame.toString('hex', 0, header.length / 2)).toBe(header);
    expect(frame.subarray(header.length / 2).equals(Buffer.alloc(length, 'x'))).toBe(true);
  });

  it('copies nothing, and writes to the gap only', () => {
    const slab = Buffer.alloc(300, 'x');
    const frame = frameInGap(slab.subarray(100, 200));
    expect(frame.buffer).toBe(slab.buffer);
    expect(frame.byteOffset + frame.length).toBe(slab.byteOffset + 200);
    expect(slab.toString('latin1', 0, 100)).toBe('x'.repeat(100));
    expect(slab.toString('latin1', 110)).toBe('x'.repeat(190));
  });
});

describe('binaryFrame', () => {
  it.each(HEADERS)('contains the header and a payload of %i bytes', (length, header) => {
    const payload = Buffer.alloc(length, 'x');
    expect(binaryFrame(payload).equals(Buffer.concat([Buffer.from(header, 'hex'), payload]))).toBe(true);
  });
});

describe('payloadOf', () => {
  it.each(HEADERS)('returns the payload of %i bytes after its header', (length, header) => {
    const frame = Buffer.concat([Buffer.from(header, 'hex'), Buffer.alloc(length, 'x')]);
    expect(payloadOf(frame).equals(Buffer.alloc(length, 'x'))).toBe(true);
  });
});

describe('pongFrame', () => {
  it("contains the ping's payload", () => {
    expect(pongFrame(Buffer.from('nerves')).toString('latin1')).toBe('\x8a\x06nerves');
    expect(pongFrame(Buffer.alloc(125, 'x')).toString('latin1')).toBe(`\x8a\x7d${'x'.repeat(125)}`);
  });
});

describe('closeFrame', () => {
  it('contains the code and the reason', () => {
    expect(closeFrame(4152, 'replaced').toString('latin1')).toBe('\x88\x0a\x10\x38replaced');
    expect(closeFrame(1000).toString('hex')).toBe('880203e8');
  });

  it('is empty for 1005, which must not be sent', () => {
    expect(closeFrame(1005).toString('hex')).toBe('8800');
  });

  it('truncates the reason to 123 bytes at a character boundary', () => {
    expect(closeFrame(1000, 'x'.repeat(200)).length).toBe(127);
    const cut = closeFrame(1000, `${'x'.repeat(120)}🦊`);
    expect(cut.length).toBe(2 + 2 + 120);
    expect(cut[1]).toBe(122);
  });
});
