import { escapeText } from './elixir-names.js';

/** Tags of pids and references (Erlang/OTP documentation, "External Term Format"). */
const NEW_PID = 88;
const NEWER_REFERENCE = 90;
const REFERENCE = 101;
const PID = 103;
const NEW_REFERENCE = 114;
/** Atoms: Latin-1 and UTF-8, with lengths of one byte and of two. */
const ATOM = 100;
const SMALL_ATOM = 115;
const ATOM_UTF8 = 118;

/** Erlang's name of a node without a name, which it writes as 0. */
const LOCAL_NODE = 'nonode@nohost';

/**
 * The text between the brackets of a pid or a reference: `0.100.0`. For another node, Erlang writes a local number; this
 * function writes the name of the node.
 * @param bytes of a decoded term, so the lengths are valid.
 */
export function identifierOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tag = buffer.readUInt8(0);
  const hasCount = tag === NEWER_REFERENCE || tag === NEW_REFERENCE;
  const { node, end } = nodeAt(buffer, hasCount ? 3 : 1);
  const name = node === LOCAL_NODE ? '0' : escapeText(node);
  const words = (from: number, count: number): number[] =>
    Array.from({ length: count }, (_, index) => buffer.readUInt32BE(from + 4 * index));
  switch (tag) {
    case PID:
    case NEW_PID:
      return [name, ...words(end, 2)].join('.');
    case REFERENCE:
      return [name, ...words(end, 1)].join('.');
    default: {
      const creationBytes = tag === NEWER_REFERENCE ? 4 : 1;
      return [name, ...words(end + creationBytes, buffer.readUInt16BE(1)).reverse()].join('.');
    }
  }
}

function nodeAt(buffer: Buffer, at: number): { readonly node: string; readonly end: number } {
  const tag = buffer.readUInt8(at);
  const isLong = tag === ATOM || tag === ATOM_UTF8;
  const start = at + (isLong ? 3 : 2);
  const end = start + (isLong ? buffer.readUInt16BE(at + 1) : buffer.readUInt8(at + 1));
  const encoding = tag === ATOM || tag === SMALL_ATOM ? 'latin1' : 'utf8';
  return { node: buffer.toString(encoding, start, end), end };
}
