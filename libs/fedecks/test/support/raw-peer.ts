/**
 * A byte-level device: a TCP connection that writes HTTP/1.1 and RFC 6455 itself, to check the exact bytes of a
 * server and its reaction to invalid clients. It shares no code with `src/` and uses no client library.
 *
 *     const peer = await RawPeer.connect(port);
 *     peer.write(upgradeRequest({ headers: { 'x-fedecks-auth': auth } }));
 *     const response = await peer.response();     // status line, headers, and whether one read contained it
 *     peer.sendBinary('836b000c746f6b656e5f706c65617365');
 *     const frame = await peer.expectFrame();     // { opcode, fin, rsv, masked, payload }
 *     const end = await peer.ended();             // 'fin' or 'rst', and when
 *     peer.destroy();
 *
 * - `upgradeRequest` builds a device's request. A header given as `undefined` is omitted, one given as an array
 *   is sent once for each value.
 * - `frame` builds any frame, valid or not: `frame(OPCODE.binary, bytes, { masked: false, rsv: 4 })`.
 * - The peer never answers by itself: no pong, no close frame, and no FIN after the server's. So only the server
 *   closes connections, as with the Elixir client, which ignores close frames.
 * - Times are values of `performance.now()`, in milliseconds.
 */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Inbox } from './inbox.js';

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
/** The Sec-WebSocket-Accept for the key above (RFC 6455 §1.3 contains this pair). */
export const EXPECTED_ACCEPT = createHash('sha1')
  .update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
  .digest('base64');

export interface UpgradeRequest {
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** An upgrade request as the Elixir client sends it, with headers changed, added, repeated or omitted. */
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
  /** False if a continuation follows. Default true. */
  readonly fin?: boolean;
  /** The three reserved bits, as a number from 0 to 7. Default 0. */
  readonly rsv?: number;
  /** Default true, as a device must (RFC 6455 §5.3). */
  readonly masked?: boolean;
  /** The length in the header. Default: that of the payload. */
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
  /** The bytes of the first read. */
  readonly firstRead: Buffer;
  /** Whether that read contained exactly the response head. */
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

/** How and when the server closed TCP. */
export interface End {
  readonly how: 'fin' | 'rst';
  readonly at: number;
}

export class RawPeer {
  /** All received bytes, one entry per read. */
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
   * Opens a TCP connection to a server on this machine, and sends nothing; with `ca`, a TLS connection that trusts it,
   * and with `localAddress` from another address of this machine.
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

  /** Sends one unfragmented, masked binary frame; a string is hex. */
  sendBinary(payload: string | Uint8Array): void {
    this.write(frame(OPCODE.binary, typeof payload === 'string' ? Buffer.from(payload, 'hex') : payload));
  }

  /** The response to the request; rejects after `deadlineMs` milliseconds, 20,000 by default. */
  async response(deadlineMs?: number): Promise<Response> {
    return this.responses.next(deadlineMs);
  }

  /** The next frame from the server, of any opcode; rejects after `deadlineMs` milliseconds, 20,000 by default. */
  async expectFrame(deadlineMs?: number): Promise<Frame> {
    return this.frames.next(deadlineMs);
  }

  /** Resolves when the server has closed TCP; rejects after `deadlineMs` milliseconds, 20,000 by default. */
  async ended(deadlineMs?: number): Promise<End> {
    return this.ends.next(deadlineMs);
  }

  /** Stops reading, as a hung device does, so that the kernel's buffers and then the server's fill up. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** The number of written bytes that the kernel has not accepted, because the server does not read. */
  get unsentBytes(): number {
    return this.socket.writableLength;
  }

  /** Sends a FIN. */
  end(): void {
    this.socket.end();
  }

  /** Sends an RST, as a rebooted device does. */
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

  /** Parses a frame by RFC 6455 §5.2. Lengths fit into a number: no server here sends 2^53 bytes. */
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
