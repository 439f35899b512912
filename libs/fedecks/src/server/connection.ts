import { type Duplex } from 'node:stream';
import { type Observable, Subscription } from 'rxjs';
import { type WebSocket } from 'ws';
import {
  deliver,
  type Handler,
  LONG_RUN_MS,
  Mailbox,
  type MailboxSource,
  type ResultSink,
  type Router,
  type Stop,
  UNHANDLED,
} from '../handlers/index.js';
import {
  CLOSE,
  decodeTerm,
  encodeTerm,
  isTokenPlease,
  isTokenPleaseFrame,
  looksLikeTokenMessage,
  type Term,
  TermDecodeError,
} from '../wire/index.js';
import { type ConnectedDevice, type DisconnectCause, type SocketError } from './device.js';
import { ReservedMessageError } from './errors.js';
import { type ResolvedOptions } from './fedecks-options.js';
import { Outbox } from './outbox.js';
import { type Grant } from './token.js';

const SECOND_MS = 1_000;

/** The websocket of a device. It knows its connection, so that all devices share one set of listeners. */
interface DeviceSocket extends WebSocket {
  connection?: Connection;
}

/** What a connection needs of the endpoint it belongs to. */
export interface Endpoint {
  readonly options: ResolvedOptions;
  readonly router: Router;
  /** The frame that carries a fresh token for a connection. */
  tokenFrame(device: ConnectedDevice, grant: Grant): Buffer;
  report(error: SocketError): void;
  received(device: ConnectedDevice, message: Term | Uint8Array): void;
  ended(connection: Connection, cause: DisconnectCause): void;
}

/** The bytes of a message an application sends. Throws what `encodeTerm` throws, and {@link ReservedMessageError}. */
export function encodeMessage(message: Term): Buffer {
  if (looksLikeTokenMessage(message)) throw new ReservedMessageError();
  return encodeTerm(message);
}

/**
 * One open device: frame in, term out, reply back, until close.
 *
 * Messages are handled one after another, as in a mailbox. A handler that returns no promise is done when it
 * returns, and nothing is queued; while one is waited for, frames queue up to `mailboxLimit`, and then the
 * socket is not read. What was received before the end is handled after it, and `@OnDisconnected` comes last.
 */
export class Connection implements ResultSink, MailboxSource {
  private state: 'open' | 'closed' = 'open';
  private lastFrameAt: number;
  private refreshTokenAt: number;
  private readonly outbox: Outbox;
  private readonly mailbox: Mailbox;
  private paused = false;
  private draining = false;
  /** Frames of the second that began at `countedFrom`. */
  private frames = 0;
  private countedFrom: number;
  private streams: Subscription | undefined;
  /** The handler that is waited for while the mailbox is busy. */
  private running: Handler | undefined;
  /** When the endpoint's clock first saw it run; 0 until then, Infinity once that is told. */
  private seenRunningAt = 0;

  constructor(
    readonly device: ConnectedDevice,
    private readonly ws: DeviceSocket,
    private readonly socket: Duplex,
    private readonly endpoint: Endpoint,
    readonly grant: Grant,
  ) {
    this.lastFrameAt = this.countedFrom = device.since;
    this.refreshTokenAt = device.since + endpoint.options.tokenRefreshMs;
    this.mailbox = new Mailbox(endpoint.options.mailboxLimit, this);
    this.outbox = new Outbox(ws, socket, endpoint.options.maxBufferedBytes, () =>
      this.end('slow_consumer', CLOSE.slowConsumer, 'slow consumer'),
    );
    ws.connection = this;
    ws.on('message', onMessage);
    ws.on('ping', onControl);
    ws.on('pong', onControl);
    ws.on('error', onError);
    ws.on('close', onClose);
  }

  /** Runs `@OnConnected`, before any message. */
  start(): void {
    for (const handler of this.endpoint.router.connected) {
      this.take(() => this.endpoint.router.call(handler, null, this.device));
    }
  }

  /** What the rules for an inbound frame are (PROTOCOL.md §2). */
  frame(data: Buffer, isBinary: boolean): void {
    if (!this.admits() || !isBinary) return;
    if (isTokenPleaseFrame(data)) this.sendToken();
    else this.take(() => this.handle(data));
  }

  /** Every frame shows that the device is alive, and counts: text and pings are ignored, but are work as well. */
  admits(): boolean {
    this.lastFrameAt = Date.now();
    this.outbox.release();
    if (this.state === 'closed') return false;
    if (!this.tooMany()) return true;
    this.end('rate_limited', CLOSE.rateLimited, 'rate limited');
    return false;
  }

  /** Counts a frame against `messagesPerSecond`. The second begins anew only when the count is looked at. */
  private tooMany(): boolean {
    const { messagesPerSecond } = this.endpoint.options;
    if (++this.frames <= messagesPerSecond || messagesPerSecond === 0) return false;
    if (this.lastFrameAt - this.countedFrom < SECOND_MS) return true;
    this.countedFrom = this.lastFrameAt;
    this.frames = 1;
    return false;
  }

  private handle(data: Buffer): unknown {
    const { router, options } = this.endpoint;
    const term = decoded(data, options.maxFrameBytes);
    if (term === undefined) {
      this.endpoint.received(this.device, data);
      return this.handled(router.raw(data, this.device));
    }
    if (isTokenPlease(term)) {
      this.sendToken();
      return;
    }
    this.endpoint.received(this.device, term);
    return this.handled(router.message(term, this.device));
  }

  private handled(result: unknown): unknown {
    if (result !== UNHANDLED) return result;
    this.report(
      'unhandled_message',
      'no handler takes this message: add a catch-all @OnMessage() or @OnRawMessage()',
    );
    return undefined;
  }

  // --- The mailbox -----------------------------------------------------------------------------------------

  /** The mailbox is full: TCP slows the device down. */
  pause(): void {
    if (this.state === 'closed') return;
    this.paused = true;
    this.ws.pause();
  }

  resume(): void {
    if (this.draining) return;
    this.paused = false;
    // The time in which it was not read is not the device's.
    this.lastFrameAt = Date.now();
    this.ws.resume();
  }

  private take(handler: () => unknown): void {
    this.mailbox.take(() => {
      const working = this.run(handler);
      if (working) {
        this.running = this.endpoint.router.called;
        this.seenRunningAt = 0;
      }
      return working;
    });
  }

  /** Calls a handler and delivers its result. Whatever it throws ends here. */
  private run(handler: () => unknown): Promise<void> | undefined {
    try {
      return deliver(handler(), this)?.then(undefined, (error: unknown) => this.failed(error));
    } catch (error) {
      this.failed(error);
      return undefined;
    }
  }

  private failed(error: unknown): void {
    this.endpoint.report({
      deviceId: this.device.id,
      type: 'handler_failed',
      info: error instanceof Error ? error.name : typeof error,
      error,
    });
  }

  private report(type: SocketError['type'], info: string): void {
    this.endpoint.report({ deviceId: this.device.id, type, info });
  }

  // --- What handlers may do --------------------------------------------------------------------------------

  send(term: Term): void {
    const sent = this.write(encodeMessage(term));
    if (sent === false) this.report('undelivered', 'the connection ended before this reply was written');
  }

  stop({ code, reason }: Stop): void {
    // What handlers have sent until then goes before the close frame.
    this.outbox.release();
    this.end('stopped', code, reason);
  }

  stream(values: Observable<unknown>, runs?: Promise<void>): void {
    if (this.state === 'closed') {
      // A message that came before the end is handled after it; its values have nowhere to go.
      const running = runs && values.subscribe({ error: (error: unknown) => this.failed(error) });
      void runs?.then(() => running?.unsubscribe());
      return;
    }
    this.streams ??= new Subscription();
    const subscription = new Subscription();
    this.streams.add(subscription);
    const done = (): void => {
      subscription.unsubscribe();
      this.streams?.remove(subscription);
    };
    subscription.add(
      values.subscribe({
        next: (value) => void this.run(() => value),
        error: (error: unknown) => {
          this.failed(error);
          done();
        },
        complete: done,
      }),
    );
  }

  drained(): Promise<void> {
    return this.outbox.drained();
  }

  /** Writes a frame. True once it is written to the socket, false if the connection ended before that. */
  write(bytes: Buffer): boolean | Promise<boolean> {
    return this.outbox.write(bytes);
  }

  private sendToken(): void {
    void this.write(this.endpoint.tokenFrame(this.device, this.grant));
    this.refreshTokenAt = Date.now() + this.endpoint.options.tokenRefreshMs;
  }

  // --- Time and end ----------------------------------------------------------------------------------------

  /** Called by the endpoint every so often, with the time. */
  tick(now: number): void {
    const { idleTimeoutMs } = this.endpoint.options;
    if (this.mailbox.busy) this.watch(now);
    if (this.draining) return;
    if (!this.paused && now - this.lastFrameAt >= idleTimeoutMs) this.end('idle_timeout', CLOSE.normal);
    else if (now >= this.refreshTokenAt) this.sendToken();
  }

  /** A handler that never ends makes a device deaf, and nothing else would tell. */
  private watch(now: number): void {
    if (this.seenRunningAt === 0) this.seenRunningAt = now;
    if (now - this.seenRunningAt < LONG_RUN_MS) return;
    this.seenRunningAt = Infinity;
    this.report(
      'handler_stalled',
      `${this.running?.name} has been running for ${LONG_RUN_MS / 1000} s, and what the device sends waits for it: ` +
        'give what it awaits a timeout',
    );
  }

  /**
   * Closes the connection. TCP ends right after the close frame, without waiting for the peer's: for a device
   * that ignores close frames it is the only sign (PROTOCOL.md §2).
   */
  end(type: DisconnectCause['type'], code: number, reason = ''): void {
    if (this.state === 'closed') return;
    this.ws.close(code, reason);
    this.hangUp();
    this.closed({ type, code });
  }

  /** Reads no more, lets the handlers of what was read finish, closes, and lets `@OnDisconnected` finish. */
  async drain(): Promise<void> {
    this.draining = true;
    if (this.state === 'open') this.ws.pause();
    await this.mailbox.done();
    this.drainNow();
    await this.mailbox.done();
  }

  drainNow(): void {
    this.end('draining', CLOSE.draining, 'draining');
  }

  /** Resolves when the socket is closed. */
  async gone(): Promise<void> {
    if (!this.socket.destroyed) await new Promise((resolve) => this.socket.once('close', resolve));
  }

  /** The websocket has found a fault in what the peer sent, and has written its close frame. */
  fault(error: Error & { code?: string }): void {
    if (!error.code?.startsWith('WS_ERR_')) return;
    const tooBig = error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
    const badUtf8 = error.code === 'WS_ERR_INVALID_UTF8';
    this.hangUp();
    if (this.state === 'closed') return;
    this.report('protocol_error', tooBig ? 'frame larger than maxFrameBytes' : error.code);
    this.closed({
      type: tooBig ? 'message_too_big' : 'protocol_error',
      code: tooBig ? CLOSE.messageTooBig : badUtf8 ? 1007 : CLOSE.protocolError,
    });
  }

  private hangUp(): void {
    this.socket.end();
    // What still arrives is not for anyone, but it has to be read for the peer's FIN to be seen.
    this.ws.resume();
  }

  /** The one place where a connection turns from open to closed. */
  closed(cause: DisconnectCause): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.outbox.close();
    this.streams?.unsubscribe();
    this.endpoint.ended(this, cause);
    for (const handler of this.endpoint.router.disconnected) {
      this.take(() => this.endpoint.router.call(handler, cause, this.device));
    }
  }
}

function decoded(data: Buffer, maxBytes: number): Term | undefined {
  try {
    return decodeTerm(data, { maxBytes });
  } catch (error) {
    if (error instanceof TermDecodeError) return undefined;
    throw error;
  }
}

function onMessage(this: WebSocket, data: Buffer, isBinary: boolean): void {
  (this as DeviceSocket).connection?.frame(data, isBinary);
}

function onControl(this: WebSocket): void {
  (this as DeviceSocket).connection?.admits();
}

function onError(this: WebSocket, error: Error): void {
  (this as DeviceSocket).connection?.fault(error);
}

function onClose(this: WebSocket, code: number): void {
  (this as DeviceSocket).connection?.closed({
    type: code === 1006 ? 'connection_lost' : 'closed_by_device',
    code,
  });
}
