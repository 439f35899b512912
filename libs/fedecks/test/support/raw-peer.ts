/**
 * A device of bytes: a TCP connection that speaks HTTP/1.1 and RFC 6455 by hand, for seeing what a server really
 * writes and how it takes what no proper client would send. It shares no code with `src/` and uses no client library.
 *
 *     const peer = await RawPeer.connect(port);
 *     peer.write(upgradeRequest({ headers: { 'x-fedecks-auth': auth } }));
 *     const response = await peer.response();     // status line, headers, and whether one read brought all of it
 *     peer.sendBinary('836b000c746f6b656e5f706c65617365');
 *     const frame = await peer.expectFrame();     // { opcode, fin, rsv, masked, payload }
 *     const end = await peer.ended();             // 'fin' or 'rst', and when
 *     peer.destroy();
 *
 * - `upgradeRequest` writes what a device sends. A header given as `undefined` is left out, one given as an array
 *   is sent once for each value.
 * - `frame` makes one frame of any kind, right or wrong: `frame(OPCODE.binary, bytes, { masked: false, rsv: 4 })`.
 * - The peer never answers by itself: no pong, no close frame, and no FIN in answer to the server's. So what ends is
 *   what the server has ended, as with the Elixir client, which ignores close frames.
 * - Times are of `performance.now()`, in milliseconds.
 */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Inbox } from './inbox.js';

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
/** What a server must answer to the key above (RFC 6455 §1.3 prints this very pair; computed here all the same). */
export const EXPECTED_ACCEPT = createHash('sha1')
  .update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
  .digest('base64');

export interface UpgradeRequest {
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** The bytes of an upgrade request as the Elixir client sends it, with headers changed, added, repeated or left out. */
export function upgradeRequest({ target = '/fedecks/websocket', headers = {} }: UpgradeRequest = {}): Buffer {
  const fields: Readonly<Record<string, string | readonly string[] | undefined>> = {
    host: '127.0.0.1',
    connection: 'upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': KEY,
    ...headers,
  };
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    [value ?? []].flat().map((text) => `${name}: ${text}`),
  );
  return Buffer.from([`GET ${target} HTTP/1.1`, ...lines, '', ''].join('\r\n'), 'latin1');
}

export interface FrameFlaws {
  /** False for one frame of several, to be followed by a continuation. Default true. */
  readonly fin?: boolean;
  /** The three reserved bits, as a number from 0 to 7. Default 0. */
  readonly rsv?: number;
  /** Default true, as a device must (RFC 6455 §5.3). */
  readonly masked?: boolean;
  /** The length the header claims. Default: that of the payload. */
  readonly claimedBytes?: number;
}

const MASK = Buffer.from('37fa213d', 'hex');

/** The bytes of one frame from a device. */
export function frame(opcode: number, payload: string | Uint8Array = '', flaws: FrameFlaws = {}): Buffer {
  const { fin = true, rsv = 0, masked = true } = flaws;
  const bytes = Buffer.from(payload);
  const claimed = flaws.claimedBytes ?? bytes.length;
  const length = Buffer.alloc(claimed < 126 ? 1 : claimed < 65_536 ? 3 : 9);
  if (length.length === 1) length.writeUInt8(claimed);
  else if (length.length === 3) {
    length.writeUInt8(126);
    length.writeUInt16BE(claimed, 1);
  } else {
    length.writeUInt8(127);
    length.writeBigUInt64BE(BigInt(claimed), 1);
  }
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  if (!masked) return Buffer.concat([Buffer.from([first]), length, bytes]);
  length.writeUInt8(length.readUInt8() | 0x80);
  const maskedBytes = bytes.map((byte, index) => byte ^ MASK[index % 4]!);
  return Buffer.concat([Buffer.from([first]), length, MASK, maskedBytes]);
}

export interface Response {
  /** The first line, without its line end. */
  readonly statusLine: string;
  /** By name in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** What one read, the first, brought. */
  readonly firstRead: Buffer;
  /** True when that read brought all of the head, and not a byte more. */
  readonly alone: boolean;
  /** When it arrived. */
  readonly at: number;
}

export interface Frame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly rsv: number;
  readonly masked: boolean;
  readonly payload: Buffer;
  /** When it arrived. */
  readonly at: number;
}

/** How the server ended TCP, and when. */
export interface End {
  readonly how: 'fin' | 'rst';
  readonly at: number;
}

export class RawPeer {
  /** All that has been received, one entry for each read. */
  readonly reads: Buffer[] = [];
  private readonly responses = new Inbox<Response>('HTTP response');
  private readonly frames = new Inbox<Frame>('frame from the server');
  private readonly ends = new Inbox<End>('end of the TCP connection');
  private unparsed = Buffer.alloc(0);
  private headSeen = false;

  private constructor(private readonly socket: Socket) {
    socket.on('data', (read) => this.received(read));
    socket.on('end', () => this.ends.put({ how: 'fin', at: performance.now() }));
    socket.on('error', () => this.ends.put({ how: 'rst', at: performance.now() }));
  }

  /**
   * Opens TCP to a server on this machine, and sends nothing: with `ca`, TLS to one whose certificate that is, and
   * with `localAddress` from another of this machine's addresses.
   */
  static async connect(
    port: number,
    {
      ca,
      localAddress = '127.0.0.1',
    }: { readonly ca?: string | undefined; readonly localAddress?: string } = {},
  ): Promise<RawPeer> {
    return new Promise((resolve, reject) => {
      const tcp = connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true, noDelay: true });
      const socket = ca === undefined ? tcp : connectTls({ socket: tcp, ca, servername: 'localhost' });
      socket.once('error', reject);
      socket.once(ca === undefined ? 'connect' : 'secureConnect', () => {
        socket.off('error', reject);
        resolve(new RawPeer(socket));
      });
    });
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Sends one whole, masked binary frame; a string is hex. */
  sendBinary(payload: string | Uint8Array): void {
    this.write(frame(OPCODE.binary, typeof payload === 'string' ? Buffer.from(payload, 'hex') : payload));
  }

  /** The answer to the request; rejects after `deadlineMs` milliseconds, 5,000 by default. */
  async response(deadlineMs?: number): Promise<Response> {
    return this.responses.next(deadlineMs);
  }

  /** The next frame from the server, of any opcode; rejects after `deadlineMs` milliseconds, 5,000 by default. */
  async expectFrame(deadlineMs?: number): Promise<Frame> {
    return this.frames.next(deadlineMs);
  }

  /** Resolves when the server has ended TCP; rejects after `deadlineMs` milliseconds, 5,000 by default. */
  async ended(deadlineMs?: number): Promise<End> {
    return this.ends.next(deadlineMs);
  }

  /** Reads nothing more, as a device that hangs: what it is sent fills the buffers on the way, and then the server's. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** How many bytes it has written that the system has not taken: those the server does not read. */
  get unsentBytes(): number {
    return this.socket.writableLength;
  }

  /** Ends this side: a FIN, and nothing more is sent. */
  end(): void {
    this.socket.end();
  }

  /** Breaks the connection as a device does that loses its state: with an RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  destroy(): void {
    this.socket.destroy();
  }

  private received(read: Buffer): void {
    this.reads.push(read);
    this.unparsed = Buffer.concat([this.unparsed, read]);
    if (!this.headSeen && !this.takeHead()) return;
    while (this.takeFrame());
  }

  private takeHead(): boolean {
    const end = this.unparsed.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const [statusLine = '', ...lines] = this.unparsed.toString('latin1', 0, end).split('\r\n');
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const firstRead = this.reads[0]!;
    const alone = firstRead.length === end + 4;
    this.headSeen = true;
    this.unparsed = this.unparsed.subarray(end + 4);
    this.responses.put({ statusLine, headers, firstRead, alone, at: performance.now() });
    return true;
  }

  /** RFC 6455 §5.2. A length of 64 bits is read as a number: no server here sends more than 2^53 bytes. */
  private takeFrame(): boolean {
    const bytes = this.unparsed;
    if (bytes.length < 2) return false;
    const [first, second] = [bytes.readUInt8(0), bytes.readUInt8(1)];
    const short = second & 0x7f;
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
    const masked = (second & 0x80) !== 0;
    const start = 2 + lengthBytes + (masked ? 4 : 0);
    if (bytes.length < start) return false;
    const size =
      lengthBytes === 8
        ? Number(bytes.readBigUInt64BE(2))
        : lengthBytes === 2
          ? bytes.readUInt16BE(2)
          : short;
    if (bytes.length < start + size) return false;
    this.unparsed = bytes.subarray(start + size);
    this.frames.put({
      opcode: first & 0x0f,
      fin: (first & 0x80) !== 0,
      rsv: (first >> 4) & 7,
      masked,
      payload: bytes.subarray(start, start + size),
      at: performance.now(),
    });
    return true;
  }
}
