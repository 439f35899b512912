import { type Duplex } from 'node:stream';
import { nameOf } from '../faults/index.js';
import {
  type Handler,
  Inbox,
  type InboxOwner,
  LONG_RUN_MS,
  refusalOf,
  type Weight,
  type Route,
  type Router,
  SLICE_MS,
  turns,
  type Worker,
  failureOf,
} from '../handlers/index.js';
import { type DeliveryPeer, type DeliveryTurn, type DeviceReceiver } from '../receiving/index.js';
import {
  type DeliveryInfo,
  HandlerRunner,
  RequestSink,
  type ResultSink,
  type Stop,
} from '../results/index.js';
import { type Answered, type AskedRequest, Conversation, isRequest } from '../requests/index.js';
import {
  CLOSE,
  type ControlType,
  controlTypeOf,
  decodeDeliveryControl,
  type DecodeOptions,
  decodeTerm,
  type DeliverHead,
  type DeliveryControl,
  isCompressedTerm,
  isOfDeliveries,
  isTokenPlease,
  isTokenPleaseFrame,
  readDeliverHead,
  type Term,
  TermDecodeError,
} from '../wire/internal.js';
import { type Deliveries } from './deliveries/deliveries.js';
import { DeliveryLanes, NO_HANDLER } from './deliveries/delivery-lanes.js';
import { type DeviceResume, type DeviceSender, type SenderPeer } from './deliveries/device-sender.js';
import { type ToDevices } from './deliveries/to-devices.js';
import { type ConnectedDevice, type DisconnectCause, type SocketError } from './device.js';
import { type End, ENDS } from './ends.js';
import { type ResolvedOptions } from './fedecks-options.js';
import { type Leftover } from './leftovers.js';
import { encodeControl, encodeDelivery, encodeReply } from './message.js';
import { Outbox } from './outbox.js';
import { type SentKind, type Telemetry } from './telemetry.js';
import { type Grant } from './token.js';
import { FOUND, FrameReader } from './websocket/frame-reader.js';
import { closeFrame, payloadOf, pongFrame } from './websocket/frame-writer.js';

/** The number of connections that this process has opened. */
let connections = 0;

const SECOND_MS = 1_000;

/** How long, in ms, the peer has to end its side of TCP after a close. */
const LINGER_MS = 1_000;

/** The maximum bytes read after a close, so that a peer that keeps sending is reset. */
const MAX_DISCARDED_BYTES = 256 * 1024;

/**
 * A larger message may take long to decode, so it counts as heavy work. More unread bytes count as bulk work.
 */
const HEAVY_BYTES = 4 * 1024;

/** The minimum rate, in bytes per ms, of a message that takes longer than `idleTimeoutMs`. */
const SLOWEST_BYTES_PER_MS = 1;

/** The socket of a device. It knows its connection, so that all devices share one set of listeners. */
interface DeviceSocket extends Duplex {
  connection?: Connection;
}

/** What a connection needs of the endpoint it belongs to. */
export interface Endpoint {
  readonly options: ResolvedOptions;
  readonly router: Router;
  readonly telemetry: Telemetry;
  readonly deliveries: Deliveries;
  readonly toDevices: ToDevices;
  /** How the messages of devices are decoded. */
  readonly decoding: DecodeOptions;
  /** The frame that carries a fresh token for a connection. */
  tokenFrame(device: ConnectedDevice, grant: Grant): Buffer;
  report(error: SocketError): void;
  onReceived(device: ConnectedDevice, message: Term | Uint8Array, delivery?: DeliveryInfo): void;
  onEnded(connection: Connection, cause: DisconnectCause): void;
}

/**
 * One open device: frame in, term out, reply back, until close.
 *
 * It handles messages one after another. While a handler runs, further messages wait, up to `mailboxLimit` and
 * `mailboxBytes`; then it pauses the socket. Each lane of deliveries is handled beside them. The work for one device per
 * turn of the event loop is bounded too: the rest waits in `turns`. `@OnConnected` comes before all that. Messages
 * received before the end are handled after it, and `@OnDisconnected` comes last.
 */
export class Connection
  implements InboxOwner<Buffer>, ResultSink, DeliveryPeer, SenderPeer, Worker, Leftover
{
  private state: 'open' | 'closed' = 'open';
  private readonly reader: FrameReader;
  private readonly outbox: Outbox;
  private readonly inbox: Inbox<Buffer>;
  /** When bytes last arrived. Monotonic, as all times here. */
  private lastDataAt: number;
  private refreshTokenAt: number;
  /** When the incomplete message began; 0 if there is none. */
  private unfinishedSince = 0;
  /** Whether it waits in `turns`. */
  private queued = false;
  /** Whether it waits there because it has worked for a whole slice. */
  private usedSlice = false;
  /** Whether it reads no frames until the inbox has room. */
  private waitsForRoom = false;
  private draining = false;
  /** Whether all observers of connections know of it: an observer may end it before the others are called. */
  private isAnnounced = false;
  /** Whether `@OnConnected` has been called. */
  private started = false;
  /** The number of `@OnConnected` handlers that have not finished. */
  private greetings = 0;
  /** Whether the socket is not read. */
  private paused = false;
  private pausedAt = 0;
  /** Frames of the second that began at `countedFrom`. */
  private frames = 0;
  private countedFrom: number;
  private discardedBytes = 0;
  /** Whether the device has sent anything. A request that arrives late opens a connection that stays silent. */
  hasSpoken = false;
  /** Why it ended, until everything is read. */
  private cause: DisconnectCause | undefined;
  /** Whether `@OnDisconnected` has been called, or is the last in the inbox. */
  private hasLeft = false;
  /** Called then. */
  private onLeft: (() => void) | undefined;
  private settling: Promise<void> | undefined;
  private readonly runner = new HandlerRunner(this);
  /** The connection's number in this process, for logs and channels. */
  readonly number = ++connections;
  /** The requests in both directions; undefined until there is one. */
  private conversation: Conversation | undefined;
  /** The deliveries of the device; undefined until one side has something to deliver. */
  private receiver: DeviceReceiver | undefined;
  deviceResume: DeviceResume | undefined;
  /** The handlers of its deliveries; undefined until there is one. */
  private lanes: DeliveryLanes | undefined;

  constructor(
    readonly device: ConnectedDevice,
    private readonly socket: DeviceSocket,
    readonly endpoint: Endpoint,
    /** The grant of its upgrade. */
    readonly grant: Grant,
    /** When the upgrade was requested. */
    readonly askedAt: number,
    /** What both sides speak (PROTOCOL.md §6.1). */
    readonly protocol: 1 | 2,
  ) {
    const { options } = endpoint;
    this.lastDataAt = this.countedFrom = performance.now();
    this.refreshTokenAt = this.lastDataAt + options.tokenRefreshMs;
    this.reader = new FrameReader(options.maxFrameBytes);
    this.inbox = new Inbox({ messages: options.mailboxLimit, bytes: options.mailboxBytes }, this);
    this.outbox = new Outbox(
      socket,
      options.maxBufferedBytes,
      () => this.end('slow_consumer'),
      () => this.endpoint.telemetry.onSendBufferFull(),
    );
    socket.connection = this;
    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.on('close', onEnd);
    socket.on('error', onError);
  }

  /** Runs `@OnConnected`, before any message, and then reads. */
  start(head: Buffer): void {
    this.isAnnounced = true;
    if (this.cause) this.endpoint.onEnded(this, this.cause);
    const { connected } = this.endpoint.router;
    this.greetings = connected.length;
    for (const handler of connected) this.inbox.call(handler, null, this.runner, () => this.greetings--);
    this.started = true;
    // A handler, or an observer of connections, may have ended it.
    if (this.state === 'closed') this.onAllRead();
    if (head.length > 0) this.onData(head);
  }

  // --- Frames in -------------------------------------------------------------------------------------------

  onData(chunk: Buffer): void {
    if (this.state === 'closed') {
      this.discard(chunk);
      return;
    }
    const now = performance.now();
    this.lastDataAt = now;
    this.hasSpoken = true;
    this.reader.append(chunk);
    if (this.queued) return;
    if (turns.isUsed(now)) this.queue();
    else this.proceed(now);
  }

  /** After the end, reads bytes only to detect the peer's FIN. */
  private discard(chunk: Buffer): void {
    this.discardedBytes += chunk.length;
    if (this.discardedBytes > MAX_DISCARDED_BYTES) this.socket.destroy();
  }

  get weight(): Weight {
    const next = this.readyLane?.next?.frame ?? this.inbox.next;
    if (next !== undefined && isHeavy(next)) return 'heavy';
    return this.usedSlice || this.reader.pendingBytes > HEAVY_BYTES ? 'bulk' : 'light';
  }

  work(): void {
    this.queued = false;
    this.usedSlice = false;
    this.proceed(performance.now());
  }

  /** Handles received frames until none is left, a handler runs, or the slice is used up. */
  private proceed(startedAt: number): void {
    let steps = 0;
    while (!this.queued && this.step(steps)) {
      if ((++steps & 7) !== 0 || performance.now() - startedAt < SLICE_MS) continue;
      this.usedSlice = true;
      this.queue();
    }
    this.updateReading();
  }

  /** @returns whether it has done something. */
  private step(steps: number): boolean {
    const inbox = this.readyLane ?? this.inbox;
    if (!inbox.ready) return this.readFrame(steps);
    inbox.step();
    return true;
  }

  private get readyLane(): Inbox<DeliveryTurn> | undefined {
    return this.greetings > 0 ? undefined : this.lanes?.ready;
  }

  /** The rules for an inbound frame (PROTOCOL.md §2). */
  private readFrame(steps: number): boolean {
    if (!this.canRead()) return false;
    const found = this.reader.next();
    switch (found) {
      case FOUND.nothing:
        this.onNoCompleteFrame();
        return false;
      case FOUND.violation:
        this.onViolation();
        return false;
      case FOUND.close:
        this.onClose();
        return false;
    }
    const isMessage = found === FOUND.binary;
    const control = isMessage && this.protocol === 2 ? controlTypeOf(this.reader.payload) : undefined;
    const isDelivery = control !== undefined && isOfDeliveries(control);
    // The window limits what is delivered.
    if (!isDelivery && this.exceedsRate()) {
      this.end('rate_limited');
      return false;
    }
    this.outbox.release();
    if (isDelivery) this.takeDelivery(this.reader.payload, control);
    else if (isMessage) this.onMessage(this.reader.payload, steps, control);
    else if (found === FOUND.ping) void this.outbox.write(pongFrame(this.reader.payload));
    if (found === FOUND.binary || found === FOUND.text) this.unfinishedSince = 0;
    return true;
  }

  /** Called when everything received is read, except the start of an incomplete message. */
  private onNoCompleteFrame(): void {
    if (!this.reader.unfinished) this.unfinishedSince = 0;
    else if (this.unfinishedSince === 0) this.unfinishedSince = this.lastDataAt;
    this.onAllRead();
  }

  private canRead(): boolean {
    if (this.draining || (this.state === 'closed' && !this.cause)) return false;
    const { inbox } = this;
    const isFull = this.waitsForRoom ? !inbox.roomy : inbox.full;
    // The answer that a handler waits for may come after what does not fit.
    const mayReadOn = this.conversation !== undefined && this.conversation.asked.size > 0 && !inbox.overfull;
    const waitsForRoom = isFull && !mayReadOn;
    if (waitsForRoom && !this.waitsForRoom) this.endpoint.telemetry.onMailboxFull();
    this.waitsForRoom = waitsForRoom;
    return !waitsForRoom;
  }

  private onMessage(data: Buffer, steps: number, control: ControlType | undefined): void {
    if (isTokenPleaseFrame(data)) {
      this.sendToken('requested');
      return;
    }
    if (control !== undefined && !this.takeControl(data)) return;
    const { inbox } = this;
    if (inbox.busy) {
      inbox.take(withoutExcessMemory(data), data.length);
    } else if (isHeavy(data) && (steps > 0 || turns.isUsed() || turns.busy)) {
      inbox.defer(withoutExcessMemory(data), data.length);
      this.queue();
    } else {
      inbox.take(data, data.length);
    }
  }

  /** Counts a frame against `messagesPerSecond`. The next second starts only when the limit is reached. */
  private exceedsRate(): boolean {
    const { messagesPerSecond } = this.endpoint.options;
    if (++this.frames <= messagesPerSecond || messagesPerSecond === 0) return false;
    const now = performance.now();
    if (now - this.countedFrom < SECOND_MS) return true;
    this.countedFrom = now;
    this.frames = 1;
    return false;
  }

  private queue(): void {
    if (this.queued) return;
    this.queued = true;
    turns.add(this);
    // Pauses at once, as the socket could buffer any number of bytes until it is served.
    this.updateReading();
  }

  /** Applies back-pressure: blocked handlers pause the socket. */
  private updateReading(): void {
    const pause = this.state === 'open' && (this.queued || this.waitsForRoom || this.draining);
    if (pause === this.paused) return;
    this.paused = pause;
    const now = performance.now();
    if (pause) {
      this.pausedAt = now;
      this.socket.pause();
      return;
    }
    // Paused time does not count as idle, and messages sent meanwhile arrive now.
    this.frames -= (this.endpoint.options.messagesPerSecond * (now - this.pausedAt)) / SECOND_MS;
    this.lastDataAt = now;
    if (this.unfinishedSince > 0) this.unfinishedSince += now - Math.max(this.pausedAt, this.unfinishedSince);
    this.socket.resume();
  }

  // --- Messages --------------------------------------------------------------------------------------------

  handle(data: Buffer): void {
    if (this.protocol === 2 && isRequest(data)) return this.handleRequest(data);
    const { router } = this.endpoint;
    const term = decode(data, this.endpoint.decoding);
    if (term === undefined) {
      const bytes = withoutExcessMemory(data);
      this.endpoint.onReceived(this.device, bytes);
      this.run(this.inbox, router.raw(bytes), bytes, data.length, this.runner);
    } else if (isTokenPlease(term)) {
      this.sendToken('requested');
    } else {
      this.endpoint.onReceived(this.device, term);
      this.run(this.inbox, router.message(term), term, data.length, this.runner);
    }
  }

  /** Takes a control message. True if it has to wait for its turn in the mailbox. */
  private takeControl(data: Buffer): boolean {
    // It was read after the end: nothing would ever tell its handler to stop.
    if (this.state === 'closed') return false;
    const todo = this.requests.onControl(data, performance.now());
    if (todo === 'close') this.breach('a control message is malformed, or answers an unknown request');
    return todo === 'handle';
  }

  /** Closes after a control message that cannot be right. */
  breach(reason: string): void {
    if (this.state === 'closed') return;
    this.report('protocol_error', reason);
    this.close('protocol_error', CLOSE.protocolError);
  }

  private handleRequest(data: Buffer): void {
    const now = performance.now();
    const begun = this.requests.begin(data, now);
    if (!begun) return;
    const { request, message } = begun;
    const sink = new RequestSink(request, this, failureOf);
    const runner = new HandlerRunner(sink);
    request.onEnd = () => runner.end();
    if (this.runFor(this.inbox, sink, message, data.length, runner)) request.watch(now);
    else request.error('no_handler', NO_HANDLER);
  }

  /** Runs the handler of a message whose sender is told of failures. False if there is none. */
  runFor(
    inbox: Inbox<Buffer> | Inbox<DeliveryTurn>,
    sink: ResultSink,
    message: Term,
    bytes: number,
    runner: HandlerRunner,
  ): boolean {
    let route: Route | undefined;
    try {
      route = this.endpoint.router.message(message);
    } catch (error) {
      sink.onFailure(error);
      return true;
    }
    this.run(inbox, route, message, bytes, runner);
    return route !== undefined;
  }

  /** Takes a control message about deliveries. */
  private takeDelivery(data: Buffer, type: DeliveryControl['type']): void {
    if (this.state === 'closed') return;
    const { decoding } = this.endpoint;
    const control = type === 'deliver' ? readDeliverHead(data) : decodeDeliveryControl(data, type, decoding);
    if (!control) this.breach(`a ${type} is malformed`);
    else if (control.type === 'resume') this.onDeviceResume(control);
    else if (control.type === 'deliver') this.onDelivery(control, data);
    else if (this.sender) this.sender.onReply(control);
    else this.breach(`it answers with ${type} what was never delivered`);
  }

  private onDeviceResume(resume: DeviceResume): void {
    if (this.deviceResume) return this.breach('it resumes twice');
    this.deviceResume = resume;
    this.beginDeliveries();
    this.sender?.look();
  }

  private onDelivery(head: DeliverHead, data: Buffer): void {
    const { receiver } = this;
    if (!receiver || !this.deviceResume) this.breach('it delivers before the resume');
    else if (!receiver.deliver(this, head, withoutExcessMemory(data)) && this.exceedsRate())
      this.end('rate_limited');
  }

  private get sender(): DeviceSender | undefined {
    return this.endpoint.toDevices.senderOf(this.device.id, this);
  }

  beginDeliveries(): void {
    this.receiver ??= this.endpoint.deliveries.open(this.device.id, this);
  }

  sendDelivery(head: Omit<DeliverHead, 'type'>, message: Uint8Array): void {
    void this.write(encodeDelivery(head, message), 'delivery');
  }

  takeTurn(turn: DeliveryTurn): void {
    (this.lanes ??= new DeliveryLanes(this)).take(turn);
    this.queue();
  }

  sendDeliveryControl(control: DeliveryControl): void {
    void this.write(encodeControl(control), 'ack');
    this.endpoint.telemetry.onDeliveryAnswer(control);
  }

  replaced(): void {
    this.end('replaced');
  }

  private run(
    inbox: Inbox<Buffer> | Inbox<DeliveryTurn>,
    route: Route | undefined,
    message: Term | Uint8Array,
    bytes: number,
    runner: HandlerRunner,
  ): void {
    const { telemetry } = this.endpoint;
    let onFinished: (() => void) | undefined;
    if (telemetry.isWatched) {
      telemetry.onReceived(this, message, bytes, route?.handler.name);
      if (route) onFinished = this.timed(route.handler);
    }
    if (route) inbox.run(route.handler, route.payload, runner, onFinished);
    else this.report('unhandled_message', this.endpoint.router.whyUnhandled(message));
  }

  private timed({ name }: Handler): () => void {
    const startedAt = performance.now();
    return () => this.endpoint.telemetry.onHandled(this, name, performance.now() - startedAt);
  }

  onReady(): void {
    if (this.queued) return;
    const now = performance.now();
    if (turns.isUsed(now)) this.queue();
    else this.proceed(now);
  }

  onFailure(error: unknown, handler?: string): void {
    const refusal = refusalOf(error);
    const name = nameOf(error);
    this.endpoint.report({
      deviceId: this.device.id,
      type: refusal === undefined ? 'handler_failed' : 'refused_by_pipe',
      info: refusal ?? (handler === undefined ? name : `${handler}: ${name}`),
      error,
    });
  }

  onStall({ name }: Handler): void {
    this.report(
      'handler_stalled',
      `${name} has been running for ${LONG_RUN_MS / 1000} s, and the messages of the device wait for it: ` +
        'add a timeout to what it awaits',
    );
  }

  report(type: SocketError['type'], info: string): void {
    this.endpoint.report({ deviceId: this.device.id, type, info });
  }

  // --- What handlers may do --------------------------------------------------------------------------------

  send(term: Term): void {
    const frame = encodeReply(term, this.protocol);
    const sent = this.write(frame, 'reply', term);
    if (sent === true) return;
    if (sent === false) this.onUndelivered();
    else void sent.then((written) => written || this.onUndelivered());
  }

  private onUndelivered(): void {
    this.report('undelivered', 'the connection ended before this reply was written');
  }

  stop({ code, reason }: Stop): void {
    this.close('stopped', code, reason);
  }

  drained(): Promise<void> {
    return this.outbox.drained();
  }

  /** Writes a frame. True once it is on its way to the socket, false if the connection ended before that. */
  write(frame: Buffer, kind: SentKind = 'push', message?: Term): boolean | Promise<boolean> {
    const { telemetry } = this.endpoint;
    const written = this.outbox.write(frame);
    if (written !== false && telemetry.isWatched)
      telemetry.onSent(this, kind, payloadOf(frame).length, message);
    return written;
  }

  /**
   * Sends a request to the device. Undefined if the connection has ended.
   * @param timeoutMs -1 for a stream, which has no deadline.
   * @throws {RequestFailedError} `busy`, when too many are open: nothing was sent.
   */
  ask(message: Term, timeoutMs: number, answered: Answered): AskedRequest | undefined {
    if (this.state === 'closed') return undefined;
    const asked = this.requests.asked.ask(message, timeoutMs, answered);
    // A handler may wait for the answer, which is read only when the socket is.
    if (this.waitsForRoom) this.queue();
    return asked;
  }

  private get requests(): Conversation {
    return (this.conversation ??= new Conversation((control) => {
      const isRequest = control.type === 'request' || control.type === 'cancel';
      void this.write(encodeControl(control), isRequest ? 'request' : 'reply');
      this.endpoint.telemetry.onAnswer(control);
    }, this.endpoint.decoding));
  }

  private sendToken(reason: 'requested' | 'refresh'): void {
    this.refreshTokenAt = performance.now() + this.endpoint.options.tokenRefreshMs;
    try {
      void this.write(this.endpoint.tokenFrame(this.device, this.grant), 'token');
      this.endpoint.telemetry.onToken(reason);
    } catch (error) {
      // The application may have changed the claims to a value that JSON cannot represent.
      this.onFailure(error);
    }
  }

  // --- Time and end ----------------------------------------------------------------------------------------

  /**
   * Called by the endpoint every so often.
   * @param now monotonic time in ms.
   * @param wallNow the wall clock, in ms since 1970.
   */
  tick(now: number, wallNow: number): void {
    this.inbox.watch(now);
    this.lanes?.watch(now);
    if (this.draining || this.state === 'closed') return;
    if (!this.paused && this.isSilent(now)) this.end('idle_timeout');
    else if (now >= this.refreshTokenAt || hasExpired(this.grant, wallNow)) this.sendToken('refresh');
  }

  /** Bytes show that a device is alive, but a message that arrives too slowly counts as silence. */
  private isSilent(now: number): boolean {
    const { idleTimeoutMs } = this.endpoint.options;
    if (now - this.lastDataAt >= idleTimeoutMs) return true;
    if (this.unfinishedSince === 0) return false;
    const allowedMs = idleTimeoutMs + this.reader.unfinishedBytes / SLOWEST_BYTES_PER_MS;
    return now - this.unfinishedSince >= allowedMs;
  }

  /** Closes the connection with the code and, by default, the reason of this end. */
  end(type: End, reason = ENDS[type].reason): void {
    this.close(type, ENDS[type].code, reason);
  }

  /**
   * Ends TCP right after the close frame, without waiting for the peer's: a device that ignores close frames notices only
   * the end of TCP (PROTOCOL.md §5.1).
   */
  private close(type: DisconnectCause['type'], code: number, reason = ''): void {
    if (this.state === 'closed') return;
    this.outbox.finish(closeFrame(code, reason));
    this.onClosed({ type, code });
    this.onAllRead();
    this.hangUp();
  }

  /** Stops reading, lets running handlers finish, closes, and lets `@OnDisconnected` finish. */
  async drain(): Promise<void> {
    if (this.state === 'closed') return this.settled();
    this.draining = true;
    this.updateReading();
    await this.inbox.done();
    await this.receiver?.quiet();
    this.drainNow();
    await this.settled();
  }

  drainNow(): void {
    this.end('draining');
  }

  /** Resolves when the socket is closed. */
  async gone(): Promise<void> {
    if (!this.socket.destroyed) await new Promise((resolve) => this.socket.once('close', resolve));
  }

  // --- Unhandled messages after the end (Leftover) ------------------------------------------------------------

  get waitingMessages(): number {
    return this.inbox.length;
  }

  get waitingBytes(): number {
    return this.inbox.bytes + this.inbox.runningBytes + this.reader.pendingBytes;
  }

  settled(): Promise<void> {
    return (this.settling ??= this.settle());
  }

  private async settle(): Promise<void> {
    if (!this.hasLeft) await new Promise<void>((resolve) => (this.onLeft = resolve));
    await this.inbox.done();
  }

  private onClose(): void {
    const { closeCode } = this.reader;
    this.outbox.finish(closeFrame(closeCode));
    this.onClosed({ type: 'closed_by_device', code: closeCode });
    this.onAllRead();
    this.hangUp();
  }

  /** Closes after a protocol violation of the device. */
  private onViolation(): void {
    const { closeCode, problem } = this.reader;
    const isTooBig = closeCode === CLOSE.messageTooBig;
    if (this.state === 'open')
      this.report('protocol_error', isTooBig ? 'a message is larger than maxFrameBytes' : problem);
    if (isTooBig) this.end('message_too_big');
    else this.close('protocol_error', closeCode);
    this.onAllRead();
  }

  /** TCP has ended. Handles what arrived before. */
  onEnd(): void {
    if (this.state === 'open') {
      this.outbox.close();
      this.onClosed({ type: 'connection_lost', code: 1006 });
      this.hangUp();
      if (this.draining) this.onAllRead();
      else if (!this.queued) this.proceed(performance.now());
    }
  }

  private hangUp(): void {
    const { socket } = this;
    socket.end();
    // Further bytes are discarded, but must be read to detect the peer's FIN.
    this.paused = false;
    socket.resume();
    const linger = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clearTimeout(linger));
  }

  /** The only transition from open to closed. */
  private onClosed(cause: DisconnectCause): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.cause = cause;
    this.runner.end();
    this.conversation?.end();
    this.receiver?.lost(this);
    if (this.isAnnounced) this.endpoint.onEnded(this, cause);
  }

  /** Everything is read: calls `@OnDisconnected` after the last message, and after the deliveries that are handled. */
  private onAllRead(): void {
    const { cause, lanes } = this;
    if (!cause || !this.started) return;
    this.cause = undefined;
    this.reader.discard();
    if (!lanes || lanes.idle) this.leave(cause);
    else void lanes.done().then(() => this.leave(cause));
  }

  private leave(cause: DisconnectCause): void {
    for (const handler of this.endpoint.router.disconnected) this.inbox.call(handler, cause, this.runner);
    this.hasLeft = true;
    this.onLeft?.();
  }
}

/** A token issued while the cloud's clock was behind may have expired once the clock is corrected. */
function hasExpired({ expiresAt }: Grant, wallNow: number): boolean {
  return expiresAt !== 0 && expiresAt <= wallNow;
}

function isHeavy(data: Buffer): boolean {
  return data.length > HEAVY_BYTES || isCompressedTerm(data);
}

/** The bytes, or a copy if they would keep much more memory alive. */
function withoutExcessMemory(data: Buffer): Buffer {
  return data.length * 2 < data.buffer.byteLength ? Buffer.from(data) : data;
}

function decode(data: Buffer, options: DecodeOptions): Term | undefined {
  try {
    return decodeTerm(data, options);
  } catch (error) {
    if (error instanceof TermDecodeError) return undefined;
    throw error;
  }
}

function onData(this: DeviceSocket, chunk: Buffer): void {
  this.connection?.onData(chunk);
}

function onEnd(this: DeviceSocket): void {
  this.connection?.onEnd();
}

/** An error is followed by the close it causes. */
function onError(): void {
  // Nothing to do.
}
