import { type IncomingMessage } from 'node:http';
import { type OnGatewayConnection, WebSocketGateway } from '@nestjs/websockets';
import { Fedecks, OnSocketError, Payload, type SocketError } from '@fedecks/nest';
import { filter, map, merge, type Observable, share, Subject } from 'rxjs';
import { type WebSocket } from 'ws';
import { type LiveView, viewOf } from './live-view.js';
import { SentMessages } from '../recording/sent-messages.js';
import { NodeRates } from './rates.js';
import { type Json, toJson } from './term-json.js';

/** What an operator sees: an event's name and what it is about. */
interface LiveEvent {
  readonly event: 'connected' | 'disconnected' | 'message' | 'sent' | 'error' | 'rates';
  /** Undefined: it is about the node. */
  readonly deviceId?: string;
  /** Made once for all operators, and only if one sees it. */
  line(): Buffer;
}

/** An error of a device, or of a stranger. */
interface ShownError {
  readonly at: string;
  readonly deviceId: string | null;
  readonly type: string;
  readonly info: string;
}

/** Errors that are kept for whoever begins to watch. */
const MAX_RECENT_ERRORS = 50;
/** How much may wait for an operator who reads too slowly, before the last line. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
/** How long, in milliseconds, a connection is silent before the system asks whether the operator is still there. */
const KEEP_ALIVE_MS = 30_000;
/** The close code for an operator who reads too slowly, as for a device. */
const TOO_SLOW = 4001;

/**
 * Shows operators what devices do, as it happens: first the connected `devices`, then `connected`,
 * `disconnected`, `message`, `sent` by an operator, and `error`, as JSON. `OperatorAdapter` has checked who they are; operators are not listened
 * to. One who reads too slowly is closed with 4001. Messages are shown up to 16,384 characters.
 *
 * With `?device=ID` only that device is shown, with `?fleet` no messages but `rates` of this node, each second. Both begin with
 * `history`: the time at this node, its newest errors, and, of the fleet, its rates of the last five minutes.
 */
@WebSocketGateway({ path: '/live', maxPayload: 1024 })
export class LiveGateway implements OnGatewayConnection<WebSocket> {
  private readonly errors = new Subject<LiveEvent>();
  /** The oldest first. */
  private readonly recentErrors: ShownError[] = [];
  private readonly ofDevices$: Observable<LiveEvent>;
  private readonly ofNode$: Observable<LiveEvent>;

  constructor(
    private readonly fedecks: Fedecks,
    private readonly rates: NodeRates,
    { sent$ }: SentMessages,
  ) {
    const changes$ = fedecks.connections$.pipe(
      map((change) => {
        const deviceId = change.device.id;
        if (change.type === 'connected') return liveEvent('connected', deviceId, () => ({ deviceId }));
        const { type: cause, code } = change.cause;
        return liveEvent('disconnected', deviceId, () => ({ deviceId, cause, code }));
      }),
    );
    const messages$ = fedecks.messages$.pipe(
      map(({ device: { id: deviceId }, message }) =>
        liveEvent('message', deviceId, () => ({ deviceId, message: toJson(message) })),
      ),
    );
    this.ofNode$ = rates.rates$.pipe(
      map((each) => liveEvent('rates', undefined, () => ({ ...each }))),
      share(),
    );
    const sentMessages$ = sent$.pipe(
      map(({ deviceId, event, payload }) => {
        const message = (): Json => (event === null ? toJson(payload) : [event, toJson(payload)]);
        return liveEvent('sent', deviceId, () => ({ deviceId, message: message() }));
      }),
    );
    this.ofDevices$ = merge(changes$, messages$, sentMessages$, this.errors).pipe(share());
  }

  handleConnection(operator: WebSocket, { socket, url }: IncomingMessage): void {
    // An operator who vanished would hold the place of another.
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    const view = viewOf(url);
    const seen$ = this.seenBy(view);
    const here = this.fedecks.devices().map(({ id }) => id);
    const devices = view.kind === 'device' ? here.filter((id) => id === view.deviceId) : here;
    if (view.kind !== 'fleet') send(operator, lineOf('devices', devices));
    if (view.kind !== 'all') send(operator, lineOf('history', this.historyOf(view)));
    const watching = seen$.subscribe((event) => {
      if (operator.bufferedAmount <= MAX_BUFFERED_BYTES) return send(operator, event.line());
      watching.unsubscribe();
      operator.close(TOO_SLOW, 'too slow');
    });
    operator.once('close', () => watching.unsubscribe());
  }

  /** Logged by the library, within limits; here it is shown. */
  @OnSocketError()
  failed(@Payload() { deviceId, type, info }: SocketError): void {
    this.recentErrors.push({ at: new Date().toISOString(), deviceId, type, info });
    if (this.recentErrors.length > MAX_RECENT_ERRORS) this.recentErrors.shift();
    this.errors.next(liveEvent('error', deviceId ?? undefined, () => ({ deviceId, type, info })));
  }

  /** What whoever begins to watch has missed. */
  private historyOf(view: LiveView): Json {
    const errors = this.recentErrors
      .filter(({ deviceId }) => view.kind !== 'device' || deviceId === view.deviceId)
      .map((error) => ({ ...error }));
    const rates = view.kind === 'fleet' ? this.rates.recent.map((each) => ({ ...each })) : [];
    return { at: new Date().toISOString(), errors, rates };
  }

  private seenBy(view: LiveView): Observable<LiveEvent> {
    if (view.kind === 'all') return this.ofDevices$;
    if (view.kind === 'device')
      return this.ofDevices$.pipe(filter(({ deviceId }) => deviceId === view.deviceId));
    const changes$ = this.ofDevices$.pipe(filter(({ event }) => event !== 'message' && event !== 'sent'));
    return merge(changes$, this.ofNode$);
  }
}

function liveEvent(event: LiveEvent['event'], deviceId: string | undefined, data: () => Json): LiveEvent {
  let made: Buffer | undefined;
  const line = (): Buffer => (made ??= lineOf(event, data()));
  return { event, ...(deviceId !== undefined && { deviceId }), line };
}

/** As bytes, which all operators share. */
function lineOf(event: string, data: Json): Buffer {
  return Buffer.from(JSON.stringify({ event, data }));
}

function send(operator: WebSocket, text: Buffer): void {
  operator.send(text, { binary: false });
}
