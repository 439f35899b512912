// Sequences of websocket frames of a device (RFC 6455 §5.2), valid and invalid.

/** One frame, masked as required for a client. */
function frame(opcode, payload = '', { fin = true, rsv = 0, mask = '00000000', claimed } = {}) {
  const bytes = Buffer.from(payload);
  const size = claimed ?? bytes.length;
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const head =
    size < 126
      ? Buffer.from([first, 0x80 | size])
      : size < 65_536
        ? Buffer.from([first, 0xfe, size >> 8, size & 255])
        : Buffer.from([first, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
  if (size >= 65_536) head.writeBigUInt64BE(BigInt(size), 2);
  const key = Buffer.from(mask, 'hex');
  return Buffer.concat([head, key, bytes.map((byte, index) => byte ^ key[index % 4])]);
}

const TOKEN_PLEASE = frame(2, Buffer.from('836b000c746f6b656e5f706c65617365', 'hex'));
const ECHO = frame(2, Buffer.from('8368026d000000046563686f6103', 'hex'), { mask: '37fa213d' });
const CLOSE = frame(8, Buffer.from('03e8', 'hex'));

const SEQUENCES = [
  [TOKEN_PLEASE],
  [TOKEN_PLEASE, ECHO, ECHO],
  [frame(9, 'nerves-242a'), ECHO, CLOSE],
  [frame(10), frame(9), frame(1, 'text'), frame(1, 'caf\u00e9 \u{1f600}', { mask: '01020304' })],
  [frame(1, Buffer.from('ff', 'hex'))],
  [frame(1, Buffer.from('c3', 'hex'), { fin: false }), frame(9), frame(0, Buffer.from('a9', 'hex'))],
  [frame(2, 'a', { fin: false }), frame(0, 'b', { fin: false }), frame(10), frame(0, 'c')],
  [frame(2, '', { fin: false }), frame(0, '', { fin: false }), frame(0)],
  [frame(2, Buffer.alloc(126)), frame(2, Buffer.alloc(300), { mask: 'a1b2c3d4' })],
  [frame(2, Buffer.alloc(125, 1)), frame(9, Buffer.alloc(125))],
  [frame(0, 'stray')],
  [frame(2, 'a', { fin: false }), frame(2, 'b')],
  [frame(9, 'a', { fin: false })],
  [frame(9, Buffer.alloc(126))],
  [frame(2, 'a', { rsv: 4 })],
  [frame(3, 'a')],
  [frame(11, 'a')],
  [frame(8, 'a')],
  [frame(8, Buffer.from('03ed', 'hex'))],
  [frame(8, Buffer.from('0fa0ff', 'hex'))],
  [frame(8, Buffer.from('0fa1' + '62796520', 'hex')), ECHO],
  [frame(2, '', { claimed: 262_144 })],
  [frame(2, '', { claimed: 262_145 })],
  [frame(2, '', { claimed: 2 ** 53 })],
  [Buffer.from('820161', 'hex')],
];

/** The sequences, and some terms, each in one frame. */
export function frameSeeds(terms) {
  return [
    ...SEQUENCES.map((frames) => Buffer.concat(frames)),
    ...terms.filter((_, index) => index % 8 === 0).map((term) => frame(2, term)),
  ];
}

export const frameDictionary = [
  TOKEN_PLEASE,
  ECHO,
  CLOSE,
  frame(9),
  frame(9, 'x'),
  frame(10),
  frame(1, 'x'),
  frame(2),
  frame(2, '', { fin: false }),
  frame(0, '', { fin: false }),
  frame(0),
  frame(1, Buffer.from('e282', 'hex'), { fin: false }),
  ...[
    '8280',
    '82fe',
    '82ff',
    '0280',
    '0080',
    '8080',
    '8880',
    '8980',
    '8a80',
    '82fe0000',
    '82ff0000000000000000',
  ].map((hex) => Buffer.from(hex, 'hex')),
];
