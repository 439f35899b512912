import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { WebSocket, type ClientOptions, type RawData } from 'ws';
import {
  ATTEMPT_HEADER,
  AUTH_HEADER,
  CLONE_REASON,
  type ControlMessage,
  controlTypeOf,
  decodeDeliveryControl,
  type DeliverHead,
  type DeliveryControl,
  decodeLimits,
  encodeControlAfter,
  isOfDeliveries,
  LIMITS_HEADER,
  PROTOCOL_2,
  PROTOCOL_HEADER,
  readDeliverHead,
  REFUSAL_HEADER,
  speaksProtocol2,
} from '../wire/internal.js';
import { Conversation } from '../requests/index.js';
import { AttemptClock, type AttemptLimits } from './attempt-clock.js';
import { type ConnectionLoss } from './client-event.js';
import { connect, reasonOf, type ConnectSettings, type Reached } from './connect.js';
import { NotConnectedError, SendBufferFullError } from './errors.js';
import { adviseTls } from './explain.js';
import { Pacer } from './pacer.js';
import { incomingRequest, type IncomingRequest } from './request-handlers.js';
import { type AttemptEvent, type CloudRefusal } from './state.js';
import { missingCertificate } from './tls.js';
import { Unconfirmed } from './unconfirmed.js';

export interface SocketSettings extends ConnectSettings {
  /** The value of the auth header (PROTOCOL.md §1). */
  readonly header: string;
  /** Which attempt this is (PROTOCOL.md §1.7). */
  readonly attempt: string;
  /** How long this attempt may take. */
  readonly limits: AttemptLimits;
  /** The limits of a quick attempt, which ends the increased timeouts. */
  readonly ordinaryLimits: AttemptLimits;
  readonly closeTimeoutMs: number;
  readonly deviceId: string;
  readonly maxFrameBytes: number;
  readonly maxBufferedBytes: number;
}

/** A control message about deliveries, as it comes: what a `deliver` holds is decoded when its turn has come. */
export type ReceivedDeliveryControl = Exclude<DeliveryControl, { readonly type: 'deliver' }> | DeliverHead;

/** The listener of a socket. */
export interface SocketListener {
  /** A frame has come, of any kind, on the open connection. */
  alive(): void;
  frame(bytes: Buffer, isBinary: boolean): void;
  /** A request of the server. */
  request(incoming: IncomingRequest): void;
  /** A control message about deliveries. @param bytes the whole message. */
  delivery(control: ReceivedDeliveryControl, bytes: Buffer): void;
  /** At most one of these events ends the socket; none follows it. */
  event(
    event: Extract<AttemptEvent, { type: 'upgraded' | 'unreachable' | 'refused' | 'errored' | 'lost' }>,
  ): void;
}

/** The maximum Retry-After, so that a wrong header cannot disable a device. */
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1000;

/** The code `ws` gives to a connection that ended without a close frame; it is never sent (RFC 6455 §7.1.5). */
const NO_CLOSE_FRAME = 1006;
const PROTOCOL_ERROR = 1002;

/**
 * How many bytes of answers may wait beyond `maxBufferedBytes`. What ends the 64 requests that may be open fits in: more
 * is caused by a server that asks on, and does not read.
 */
const MAX_EXCESS_BYTES = 512 * 1024;

/** One attempt to connect, and the connection it becomes. It is never used again once it has ended. */
export class DeviceSocket {
  /** Resolves when no TCP connection is open. */
  readonly gone: Promise<void>;

  /** Set, as the next field, once the TCP connection is open. */
  private reached: Reached | undefined;
  private socket: WebSocket | undefined;
  private readonly reaching = new AbortController();
  private readonly clock: AttemptClock;
  private readonly unconfirmed = new Unconfirmed();
  private pacer = this.pace(undefined);
  /** How many bytes of messages wait for their turn in `pacer`. */
  private pacedBytes = 0;
  /** The number of messages for which `send` has resolved. */
  private writtenMessages = 0;
  private phase: 'reaching' | 'upgrading' | 'open' | 'ended' = 'reaching';
  /** The server broke the protocol: nothing that it sends until it closes is read. */
  private isBroken = false;
  /** The newest protocol that both sides speak (PROTOCOL.md §6.1). */
  protocol: 1 | 2 = 1;
  private conversation: Conversation | undefined;
  /** The last control message that is being written. Never rejects. */
  private writingControl: Promise<void> = Promise.resolve();

  constructor(
    private readonly settings: SocketSettings,
    private readonly listener: SocketListener,
  ) {
    this.clock = new AttemptClock(settings.limits, (reason) => {
      this.failed(reason, true);
      this.reset();
    });
    this.gone = this.run();
  }

  /**
   * Resolves when the bytes have been handed to the operating system, no sooner than the server allows.
   * @param isMessage of the application: anything else is sent at once.
   * @throws {NotConnectedError} (rejects) if the connection ends before that.
   * @throws {SendBufferFullError} (rejects) if too many bytes wait for that already.
   */
  send(bytes: Uint8Array, isMessage = true): Promise<void> {
    const full = this.fullError(bytes.length);
    return full ? Promise.reject(full) : this.write(bytes, isMessage);
  }

  private write(bytes: Uint8Array, isMessage: boolean): Promise<void> {
    const { socket } = this;
    if (!socket) return Promise.reject(new NotConnectedError('not-connected'));
    return new Promise((resolve, reject) => {
      const writeNow = (): void => {
        this.unconfirmed.onSent(bytes.length, isMessage ? 1 : 0);
        socket.send(bytes, { binary: true }, (error) => {
          // Node reports success for a write that was pending when the socket was destroyed.
          if (error || this.reached?.socket.destroyed)
            return reject(new NotConnectedError('connection-ended'));
          if (isMessage) this.writtenMessages++;
          resolve();
        });
      };
      if (!isMessage) return writeNow();
      this.pacedBytes += bytes.length;
      this.pacer.send(() => {
        this.pacedBytes -= bytes.length;
        if (this.phase === 'ended') reject(new NotConnectedError('connection-ended'));
        else writeNow();
      });
    });
  }

  private get waitingBytes(): number {
    return (this.socket?.bufferedAmount ?? 0) + this.pacedBytes;
  }

  private fullError(bytes: number): SendBufferFullError | undefined {
    const waiting = this.waitingBytes;
    const { maxBufferedBytes } = this.settings;
    return waiting > 0 && waiting + bytes > maxBufferedBytes
      ? new SendBufferFullError(waiting, maxBufferedBytes)
      : undefined;
  }

  /** The requests in both directions. Made when it is first asked for. */
  get requests(): Conversation {
    return (this.conversation ??= new Conversation((control) => this.sendControl(control), {
      maxBytes: this.settings.maxFrameBytes,
    }));
  }

  /** @throws {SendBufferFullError} for what carries a value, and what encoding throws. */
  private sendControl(control: ControlMessage): void {
    const bytes = encodeControlAfter(0, control);
    // What ends a request is small, and must not be lost: the other side may wait without a deadline.
    const hasValue = 'message' in control || 'value' in control;
    const full = hasValue ? this.fullError(bytes.length) : undefined;
    if (full) throw full;
    if (this.waitingBytes > this.settings.maxBufferedBytes + MAX_EXCESS_BYTES)
      return this.breach('it sends requests, and does not read the answers');
    // It fails only when the connection ends: then each request has its outcome.
    this.writingControl = this.write(bytes, true).catch(() => undefined);
  }

  /** Written at once, and not counted as a message: what waits for an answer is not lost with the connection. */
  sendDelivery(bytes: Uint8Array): void {
    this.write(bytes, false).catch(() => undefined);
  }

  private onControl(bytes: Buffer): void {
    const type = controlTypeOf(bytes);
    if (type !== undefined && isOfDeliveries(type)) {
      const control = type === 'deliver' ? readDeliverHead(bytes) : decodeDeliveryControl(bytes, type);
      if (control) this.listener.delivery(control, bytes);
      else this.breach(`it sent a '${type}' that is malformed`);
      return;
    }
    const { requests } = this;
    const todo = requests.onControl(bytes, performance.now());
    if (todo === 'handle') this.listener.request(incomingRequest(bytes, requests, () => this.writingControl));
    if (todo === 'close')
      this.breach('it sent a control message that is malformed, or answers an unknown request');
  }

  /** Closes with 1002. @param what the server did, as a clause: `it sent ...`. */
  breach(what: string): void {
    if (this.isBroken) return;
    this.isBroken = true;
    this.listener.event({ type: 'errored', reason: `the server broke the protocol: ${what}` });
    this.socket?.close(PROTOCOL_ERROR);
  }

  /** Its payload is the device id (PROTOCOL.md §2.5). */
  ping(): void {
    this.unconfirmed.onPing();
    this.socket?.ping(this.settings.deviceId);
  }

  /** How many bytes have come from the server, those of TLS included. */
  get bytesRead(): number {
    return this.reached?.tcp.bytesRead ?? 0;
  }

  /** How many bytes are perhaps on their way: no more than `maxBufferedBytes`, also where no ping is answered. */
  get unconfirmedBytes(): number {
    return Math.min(this.unconfirmed.bytes, this.settings.maxBufferedBytes);
  }

  /** What is told of the messages the server has perhaps not read, when the connection is lost. */
  get unconfirmedMessages(): Pick<ConnectionLoss, 'unconfirmed'> {
    const unconfirmed = this.writtenMessages - this.unconfirmed.confirmedMessages;
    return unconfirmed > 0 ? { unconfirmed } : {};
  }

  /** Closes with 1000, and closes TCP after `closeTimeoutMs` if the server does not. Aborts a pending attempt. */
  close(): void {
    if (this.phase !== 'open') return this.drop();
    this.socket?.close(1000);
  }

  /** Ends TCP at once, without a close frame. No event follows. */
  drop(): void {
    const isUnanswered = this.phase === 'upgrading';
    this.end();
    if (isUnanswered) this.reset();
    else this.cut();
  }

  private async run(): Promise<void> {
    const { settings } = this;
    let reached: Reached;
    try {
      reached = await connect(settings, this.clock, this.reaching.signal);
    } catch (error) {
      this.failed(reasonOf(error));
      return;
    }
    this.reached = reached;
    const { socket } = reached;
    const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    // Dropped just when it connected: the signal came too late.
    if (this.reaching.signal.aborted) socket.destroy();
    if (!socket.destroyed) {
      this.phase = 'upgrading';
      this.clock.begin('answer');
      // The published types do not know `closeTimeout` yet.
      const options: ClientOptions & { closeTimeout: number } = {
        headers: {
          [AUTH_HEADER]: settings.header,
          [ATTEMPT_HEADER]: settings.attempt,
          [PROTOCOL_HEADER]: PROTOCOL_2,
        },
        perMessageDeflate: false,
        followRedirects: false,
        maxPayload: settings.maxFrameBytes,
        closeTimeout: settings.closeTimeoutMs,
        createConnection: () => socket,
      };
      this.socket = new WebSocket(settings.url, options);
      this.listen(this.socket, missingCertificate(socket, settings.tls));
    } else {
      this.failed('the server closed the connection immediately');
    }
    if (!socket.closed) await gone;
  }

  /** @param missing why the server may end the connection in place of an answer. */
  private listen(socket: WebSocket, missing: string | undefined): void {
    const { listener } = this;
    socket.once('upgrade', ({ headers }: IncomingMessage) => {
      this.pacer = this.pace(decodeLimits(headers[LIMITS_HEADER]).framesPerSecond);
      if (speaksProtocol2(headers[PROTOCOL_HEADER])) this.protocol = 2;
    });
    socket.once('open', () => {
      this.clock.end();
      this.phase = 'open';
      listener.event({ type: 'upgraded', isQuick: this.clock.isWithin(this.settings.ordinaryLimits) });
    });
    socket.once('unexpected-response', (_request: ClientRequest, response: IncomingMessage) => {
      void this.onRefusal(socket, response);
    });
    socket.on('error', (error) => {
      if (this.phase === 'open') listener.event({ type: 'errored', reason: reasonOf(error) });
      else {
        const advice = missing ?? adviseTls(error, this.settings.url);
        this.failed(advice === undefined ? reasonOf(error) : `${reasonOf(error)}; ${advice}`);
      }
    });
    socket.once('close', (code, reason) => {
      if (!this.end()) return;
      const rest = this.unconfirmedMessages;
      if (code === NO_CLOSE_FRAME) listener.event({ type: 'lost', loss: { cause: 'ended', ...rest } });
      else {
        const isClone = reason.toString() === CLONE_REASON;
        listener.event({ type: 'lost', loss: { cause: 'closed', code, ...rest }, isClone });
      }
    });
    const alive = (): void => {
      if (this.phase === 'open') listener.alive();
    };
    socket.on('ping', alive);
    socket.on('pong', () => {
      this.unconfirmed.onPong();
      if (this.phase === 'open') this.pacer.onPong();
      alive();
    });
    socket.on('message', (data: RawData, isBinary) => {
      alive();
      // 'nodebuffer', the default `binaryType`, makes every message one Buffer.
      if (this.phase !== 'open' || this.isBroken) return;
      const bytes = data as Buffer;
      if (this.protocol === 2 && isBinary && controlTypeOf(bytes) !== undefined) this.onControl(bytes);
      else listener.frame(bytes, isBinary);
    });
  }

  private async onRefusal(socket: WebSocket, response: IncomingMessage): Promise<void> {
    const { statusCode: status = 0, headers } = response;
    const isOfToken = status === 401 || status === 403;
    const hasText = isOfToken && (await hasBody(response));
    const failure = { status, ...(hasText && { hasBody: true as const }) };
    const isClone = headers[REFUSAL_HEADER] === CLONE_REASON;
    // A cloud rejects without a body (PROTOCOL.md §1.4); a captive portal or firewall sends one.
    const byCloud = status === 403 && !hasText ? refusalOf(headers) : undefined;
    if (this.end())
      this.listener.event({
        type: 'refused',
        failure,
        retryAfterMs: retryAfter(headers),
        isClone,
        ...(byCloud && { byCloud }),
      });
    socket.terminate();
  }

  private pace(framesPerSecond: number | undefined): Pacer {
    const { unconfirmed } = this;
    return new Pacer(framesPerSecond, {
      ping: () => this.ping(),
      sentMessages: () => unconfirmed.sentMessages,
      confirmedMessages: () => unconfirmed.confirmedMessages,
    });
  }

  private cut(): void {
    this.reaching.abort();
    this.socket?.terminate();
  }

  /**
   * Resets an unanswered attempt. After a normal close the kernel would keep sending the request
   * for minutes, and it could arrive after the next attempt. A reset discards it.
   */
  private reset(): void {
    const tcp = this.reached?.tcp;
    if (tcp?.destroyed === false) tcp.resetAndDestroy();
    this.cut();
  }

  private failed(reason: string, isTimeout = false): void {
    const reached = this.phase === 'upgrading';
    if (!this.end()) return;
    this.listener.event(
      reached
        ? { type: 'refused', failure: { reason }, retryAfterMs: 0, isClone: false, isTimeout }
        : { type: 'unreachable', reason, isTimeout },
    );
  }

  /** Ends the socket; false if it had already ended, so that later errors are ignored. */
  private end(): boolean {
    this.clock.end();
    const first = this.phase !== 'ended';
    this.phase = 'ended';
    this.pacer.end();
    this.conversation?.end();
    return first;
  }
}

/** Whether the response has a body; a truncated one counts. */
function hasBody(response: IncomingMessage): Promise<boolean> {
  return new Promise((resolve) => {
    response.on('error', () => undefined);
    response.once('end', () => resolve(false));
    for (const event of ['data', 'close']) response.once(event, () => resolve(true));
  });
}

/** When a cloud refused, by its own clock if it tells its date. */
function refusalOf({ date }: IncomingHttpHeaders): CloudRefusal {
  const timeMs = Date.parse(date ?? '');
  return { timeMs: Number.isNaN(timeMs) ? Date.now() : timeMs };
}

/**
 * A Retry-After (RFC 9110 §10.2.3) in milliseconds; 0 for none. A date in it is compared with the server's own: the
 * clock of a device may be wrong.
 */
function retryAfter({ 'retry-after': value = '', date = '' }: IncomingHttpHeaders): number {
  const delayMs = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.parse(date);
  return delayMs > 0 ? Math.min(delayMs, MAX_RETRY_AFTER_MS) : 0;
}
