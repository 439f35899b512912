/**
 * A byte-level cloud: a TCP server that writes HTTP/1.1 and RFC 6455 as Phoenix on Cowboy does, to check
 * the exact bytes of a device and its reaction to any server. It shares no code with `src/` and uses
 * no websocket library. It sends nothing by itself: the test decides.
 *
 *     const cloud = await PhoenixPeer.listen();   // or: listen({ host: '::1', tls: { key, cert } })
 *     const device = await cloud.accept();        // the next connection, when its request has arrived
 *     device.request.headers['x-fedecks-auth'];   // also: device.request.line, device.request.raw
 *     device.upgrade();                           // or: device.refuse(403), device.write('HTTP/1.1 ...')
 *     const frame = await device.frame();         // { opcode, masked, payload }
 *     device.binary('8361ff');                    // or: text, ping, pong, close(code), frames of any kind by `write`
 *     device.fin();                               // or: device.reset(), device.stopReading(), device.resumeReading()
 *     await device.ended();                       // 'fin' or 'rst': how the device closed TCP
 *     await cloud.close();
 *
 * Connections that the test does not accept get no answer. `cloud.waiting` counts them.
 */
import { createHash } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { createServer as createTlsServer, type TlsOptions, TLSSocket } from 'node:tls';
import { Inbox } from './inbox.js';

/** Containers often lack IPv6: tests that need it are skipped and reported. */
export const HAS_IPV6 = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === '::1');

export interface PeerFrame {
  readonly opcode: number;
  readonly masked: boolean;
  readonly payload: Buffer;
}

export interface PeerRequest {
  readonly raw: string;
  readonly line: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface PeerOptions {
  /** The address to listen on, 127.0.0.1 by default. */
  readonly host?: string;
  /** 0, the default, selects a free port. */
  readonly port?: number;
  /** TLS options, if TLS is used. */
  readonly tls?: TlsOptions;
}

export class PhoenixPeer {
  private readonly devices = new Inbox<PeerConnection>('connection');
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;
  port = 0;

  private constructor(private readonly options: PeerOptions) {
    const come = (socket: Socket): void => {
      const connection = new PeerConnection(socket, () => this.devices.put(connection));
    };
    const common = { allowHalfOpen: true, noDelay: true };
    this.server = options.tls
      ? createTlsServer({ ...options.tls, ...common }, come)
      : createServer(common, come);
    this.server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  static async listen(options: PeerOptions = {}): Promise<PhoenixPeer> {
    const peer = new PhoenixPeer(options);
    const { host = '127.0.0.1', port = 0 } = options;
    await new Promise<void>((resolve) => peer.server.listen(port, host, resolve));
    peer.port = (peer.server.address() as AddressInfo).port;
    return peer;
  }

  get url(): string {
    const { host = '127.0.0.1', tls } = this.options;
    return `${tls ? 'wss' : 'ws'}://${host.includes(':') ? `[${host}]` : host}:${this.port}/fedecks/websocket`;
  }

  /** Takes the oldest connection with a complete request. Rejects after `deadlineMs`, 20 s by default. */
  accept(deadlineMs?: number): Promise<PeerConnection> {
    return this.devices.next(deadlineMs);
  }

  get waiting(): number {
    return this.devices.size;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export class PeerConnection {
  private readonly frames = new Inbox<PeerFrame>('frame of the device');
  private readonly ends = new Inbox<'fin' | 'rst'>('end of the TCP connection');
  /** Resolves when the device has closed TCP, or the test has reset it. */
  readonly gone: Promise<void>;
  private received = Buffer.alloc(0);
  private parsed: PeerRequest | undefined;

  constructor(
    private readonly socket: Socket,
    private readonly requested: () => void,
  ) {
    socket.on('data', (chunk) => this.read(chunk));
    socket.once('end', () => this.ends.put('fin'));
    socket.once('error', () => this.ends.put('rst'));
    this.gone = new Promise((resolve) => {
      for (const event of ['end', 'error', 'close']) socket.once(event, () => resolve());
    });
  }

  /** The TLS server name and protocol of the device, and the name in its certificate if it has one. */
  get agreed(): { servername: string | false; protocol: string | false | null; device: string | undefined } {
    if (!(this.socket instanceof TLSSocket)) throw new Error('not over TLS');
    const { servername, alpnProtocol: protocol } = this.socket as TLSSocket & { servername: string | false };
    // Empty without a certificate.
    const { subject } = this.socket.getPeerCertificate() as { subject?: { CN: string } };
    return { servername, protocol, device: subject?.CN };
  }

  get request(): PeerRequest {
    if (!this.parsed) throw new Error('the request has not arrived yet');
    return this.parsed;
  }

  /** Writes the 101 at once, as the Elixir server does; `accept` overrides Sec-WebSocket-Accept, `headers` are added. */
  upgrade(accept = acceptOf(this.request.headers['sec-websocket-key'] ?? ''), headers = ''): void {
    this.write(
      'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\ndate: Mon, 23 Nov 2026 10:00:00 GMT\r\n' +
        `sec-websocket-accept: ${accept}\r\nserver: Cowboy\r\nupgrade: websocket\r\n${headers}\r\n`,
    );
  }

  /** Rejects without a body, and leaves the connection open, as Cowboy does. */
  refuse(status: number, headers = ''): void {
    this.write(`HTTP/1.1 ${status} Refused\r\ncontent-length: 0\r\nserver: Cowboy\r\n${headers}\r\n`);
  }

  /** The next frame of the device. Rejects after `deadlineMs` milliseconds, 20,000 by default. */
  frame(deadlineMs?: number): Promise<PeerFrame> {
    return this.frames.next(deadlineMs);
  }

  binary(payload: string | Uint8Array): void {
    this.write(frame(2, typeof payload === 'string' ? Buffer.from(payload, 'hex') : payload));
  }

  text(payload: string): void {
    this.write(frame(1, Buffer.from(payload)));
  }

  ping(payload: string): void {
    this.write(frame(9, Buffer.from(payload)));
  }

  pong(payload: Uint8Array): void {
    this.write(frame(10, payload));
  }

  /** Writes a close frame, with a code if given. TCP stays open until `fin()`, which Cowboy calls at once. */
  close(code?: number): void {
    const payload = Buffer.alloc(code === undefined ? 0 : 2);
    if (code !== undefined) payload.writeUInt16BE(code);
    this.write(frame(8, payload));
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Sends everything written until `uncork` in one segment. */
  cork(): void {
    this.socket.cork();
  }

  uncork(): void {
    this.socket.uncork();
  }

  /** Stops reading, so that the kernel's buffers fill up. */
  stopReading(): void {
    this.socket.pause();
  }

  resumeReading(): void {
    this.socket.resume();
  }

  fin(): void {
    this.socket.end();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Resolves with how the device closed TCP. Rejects after 5 s. */
  ended(): Promise<'fin' | 'rst'> {
    return this.ends.next();
  }

  private read(chunk: Buffer): void {
    this.received = Buffer.concat([this.received, chunk]);
    if (!this.parsed) {
      const end = this.received.indexOf('\r\n\r\n');
      if (end === -1) return;
      this.parsed = parseRequest(this.received.subarray(0, end).toString('latin1'));
      this.received = this.received.subarray(end + 4);
      this.requested();
    }
    for (let next = takeFrame(this.received); next; next = takeFrame(this.received)) {
      this.received = this.received.subarray(next.size);
      this.frames.put(next.frame);
    }
  }
}

function parseRequest(raw: string): PeerRequest {
  const [line = '', ...fields] = raw.split('\r\n');
  const headers = fields.map((field) => {
    const colon = field.indexOf(':');
    return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()] as const;
  });
  return { raw, line, headers: Object.fromEntries(headers) };
}

function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

/** An unmasked, final frame (RFC 6455 §5.2). */
export function frame(opcode: number, payload: Uint8Array): Buffer {
  const long = payload.length > 125;
  const header = Buffer.alloc(long ? 4 : 2);
  header.writeUInt8(0x80 | opcode, 0);
  header.writeUInt8(long ? 126 : payload.length, 1);
  if (long) header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload]);
}

function takeFrame(bytes: Buffer): { frame: PeerFrame; size: number } | undefined {
  if (bytes.length < 2) return undefined;
  const masked = (bytes.readUInt8(1) & 0x80) !== 0;
  let length = bytes.readUInt8(1) & 0x7f;
  let at = 2;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return undefined;
    length = Number(bytes.readBigUInt64BE(2));
    at = 10;
  }
  const mask = masked ? bytes.subarray(at, at + 4) : Buffer.alloc(4);
  if (masked) at += 4;
  if (bytes.length < at + length) return undefined;
  const payload = Buffer.from(bytes.subarray(at, at + length));
  for (let index = 0; index < length; index++) payload[index]! ^= mask[index & 3]!;
  return { frame: { opcode: bytes.readUInt8(0) & 0x0f, masked, payload }, size: at + length };
}
