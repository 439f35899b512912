import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { type Socket } from 'node:net';
import { WebSocket, type ClientOptions, type RawData } from 'ws';
import { AUTH_HEADER } from '../wire/index.js';
import { connect, reasonOf, type ConnectSettings } from './connect.js';
import { NotConnectedError, SendBufferFullError } from './errors.js';
import { type AttemptEvent, type Denial } from './state.js';
import { missingCertificate } from './tls.js';

export interface SocketSettings extends ConnectSettings {
  /** The value of the auth header (PROTOCOL.md §1). */
  readonly header: string;
  readonly upgradeTimeoutMs: number;
  readonly closeTimeoutMs: number;
  readonly maxFrameBytes: number;
  readonly maxBufferedBytes: number;
}

/** Where a socket says what happens to it. */
export interface SocketListener {
  /** A frame has come, of any kind, on the open connection. */
  alive(): void;
  frame(bytes: Buffer, isBinary: boolean): void;
  /** Of these at most one ends the socket, and nothing follows it. */
  event(
    event: Extract<AttemptEvent, { type: 'upgraded' | 'unreachable' | 'refused' | 'errored' | 'lost' }>,
  ): void;
}

/** A server may ask for patience, but a wrong header must not switch a device off for good. */
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1000;

/** The code `ws` gives to a connection that ended without a close frame; it is never sent (RFC 6455 §7.1.5). */
const NO_CLOSE_FRAME = 1006;

/** One attempt to connect, and the connection it becomes. It is never used again once it has ended. */
export class DeviceSocket {
  /** Resolves when the TCP connection is gone, or was never there. */
  readonly gone: Promise<void>;

  /** Both from the time on when the server has been reached. */
  private tcp: Socket | undefined;
  private socket: WebSocket | undefined;
  private readonly reaching = new AbortController();
  private readonly upgradeTimer: NodeJS.Timeout;
  private phase: 'reaching' | 'upgrading' | 'open' | 'ended' = 'reaching';

  constructor(
    private readonly settings: SocketSettings,
    private readonly listener: SocketListener,
  ) {
    // A timer of our own: that of `ws` starts anew with every byte, so a server that drips could hold us for ever.
    this.upgradeTimer = setTimeout(() => {
      const missing = this.phase === 'reaching' ? 'connection' : 'answer to the upgrade';
      this.failed(`no ${missing} within ${settings.upgradeTimeoutMs} ms`);
      this.cut();
    }, settings.upgradeTimeoutMs);
    this.gone = this.run();
  }

  /**
   * Resolves when the bytes have been handed to the operating system.
   * @throws {NotConnectedError} (rejects) if the connection ends before that.
   * @throws {SendBufferFullError} (rejects) if too many bytes wait for that already.
   */
  send(bytes: Uint8Array): Promise<void> {
    const { socket } = this;
    if (!socket) return Promise.reject(new NotConnectedError('not-connected'));
    const waiting = socket.bufferedAmount;
    if (waiting > 0 && waiting + bytes.length > this.settings.maxBufferedBytes) {
      return Promise.reject(new SendBufferFullError(waiting, this.settings.maxBufferedBytes));
    }
    return new Promise((resolve, reject) => {
      socket.send(bytes, { binary: true }, (error) => {
        // Of a write that was under way when its socket was destroyed, Node says that it went well.
        if (error || this.tcp?.destroyed) reject(new NotConnectedError('connection-ended'));
        else resolve();
      });
    });
  }

  ping(payload: string): void {
    this.socket?.ping(payload);
  }

  /** Says goodbye with 1000, and ends TCP after `closeTimeoutMs` if the server does not. An attempt is dropped. */
  close(): void {
    if (this.phase !== 'open') return this.drop();
    this.socket?.close(1000);
  }

  /** Ends TCP at once, without a close frame. No event follows. */
  drop(): void {
    this.end();
    this.cut();
  }

  private async run(): Promise<void> {
    const { settings } = this;
    let tcp: Socket;
    try {
      tcp = await connect(settings, this.reaching.signal);
    } catch (error) {
      this.failed(reasonOf(error));
      return;
    }
    this.tcp = tcp;
    const gone = new Promise<void>((resolve) => tcp.once('close', () => resolve()));
    // Dropped in the very moment it was reached: the signal came too late for it.
    if (this.reaching.signal.aborted) tcp.destroy();
    if (!tcp.destroyed) {
      this.phase = 'upgrading';
      // The published types do not know `closeTimeout` yet.
      const options: ClientOptions & { closeTimeout: number } = {
        headers: { [AUTH_HEADER]: settings.header },
        perMessageDeflate: false,
        followRedirects: false,
        maxPayload: settings.maxFrameBytes,
        closeTimeout: settings.closeTimeoutMs,
        createConnection: () => tcp,
      };
      this.socket = new WebSocket(settings.url, options);
      this.listen(this.socket, missingCertificate(tcp, settings.tls));
    } else {
      this.failed('the server ended the connection at once');
    }
    if (!tcp.closed) await gone;
  }

  /** @param missing why the server may end the connection in place of an answer. */
  private listen(socket: WebSocket, missing: string | undefined): void {
    const { listener } = this;
    socket.once('open', () => {
      clearTimeout(this.upgradeTimer);
      this.phase = 'open';
      listener.event({ type: 'upgraded' });
    });
    socket.once('unexpected-response', (_request: ClientRequest, response: IncomingMessage) => {
      const failure = { status: response.statusCode ?? 0 };
      const retryAfterMs = retryAfter(response.headers);
      const denial = denialIn(response);
      if (this.end()) listener.event({ type: 'refused', failure, retryAfterMs, ...(denial && { denial }) });
      socket.terminate();
    });
    socket.on('error', (error) => {
      if (this.phase === 'open') listener.event({ type: 'errored', reason: reasonOf(error) });
      else this.failed(missing === undefined ? reasonOf(error) : `${reasonOf(error)}; ${missing}`);
    });
    socket.once('close', (code) => {
      const closed = code !== NO_CLOSE_FRAME;
      if (this.end())
        listener.event({ type: 'lost', loss: closed ? { cause: 'closed', code } : { cause: 'ended' } });
    });
    const alive = (): void => {
      if (this.phase === 'open') listener.alive();
    };
    socket.on('ping', alive);
    socket.on('pong', alive);
    socket.on('message', (data: RawData, isBinary) => {
      alive();
      // 'nodebuffer', the default `binaryType`, makes every message one Buffer.
      if (this.phase === 'open') listener.frame(data as Buffer, isBinary);
    });
  }

  private cut(): void {
    this.reaching.abort();
    this.socket?.terminate();
  }

  private failed(reason: string): void {
    const reached = this.phase === 'upgrading';
    if (!this.end()) return;
    this.listener.event(
      reached ? { type: 'refused', failure: { reason }, retryAfterMs: 0 } : { type: 'unreachable', reason },
    );
  }

  /** False if it has ended before: errors and a close that follow upon the end are not news. */
  private end(): boolean {
    clearTimeout(this.upgradeTimer);
    const first = this.phase !== 'ended';
    this.phase = 'ended';
    return first;
  }
}

/** A cloud refuses without a body (PROTOCOL.md §1.4); a captive portal or a firewall has something to say. */
function denialIn({ statusCode, headers }: IncomingMessage): Denial | undefined {
  if (statusCode !== 403 || headers['content-length'] !== '0') return undefined;
  const dateMs = Date.parse(headers.date ?? '');
  return { timeMs: Number.isNaN(dateMs) ? Date.now() : dateMs };
}

/**
 * A Retry-After (RFC 9110 §10.2.3) in milliseconds; 0 for none. A date in it is compared with the server's own: the
 * clock of a device may be wrong.
 */
function retryAfter({ 'retry-after': value = '', date = '' }: IncomingHttpHeaders): number {
  const delayMs = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.parse(date);
  return delayMs > 0 ? Math.min(delayMs, MAX_RETRY_AFTER_MS) : 0;
}
