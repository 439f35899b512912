import { type IncomingMessage } from 'node:http';
import { type OnGatewayConnection, WebSocketGateway } from '@nestjs/websockets';
import { Fedecks, OnSocketError, Payload, type SocketError } from '@fedecks/nest';
import { map, merge, type Observable, share, Subject } from 'rxjs';
import { type WebSocket } from 'ws';
import { type Json, toJson } from './term-json.js';

/** What an operator sees: an event's name and what it is about. */
interface LiveEvent {
  readonly event: 'devices' | 'connected' | 'disconnected' | 'message' | 'error';
  readonly data: Json;
}

/** How much may wait for an operator who reads too slowly, before the last line. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
/** How long, in milliseconds, a connection is silent before the system asks whether the operator is still there. */
const KEEP_ALIVE_MS = 30_000;
/** The close code for an operator who reads too slowly, as for a device. */
const TOO_SLOW = 4001;

/**
 * Shows operators what devices do, as it happens: first the connected `devices`, then `connected`,
 * `disconnected`, `message` and `error`, as JSON. `OperatorAdapter` has checked the API key; operators are not listened
 * to. One who reads too slowly is closed with 4001. Messages are shown up to 16,384 characters.
 */
@WebSocketGateway({ path: '/live', maxPayload: 1024 })
export class LiveGateway implements OnGatewayConnection<WebSocket> {
  private readonly errors = new Subject<LiveEvent>();
  /** Made into text once for all operators, and only while there are any. */
  private readonly lines$: Observable<Buffer>;

  constructor(private readonly fedecks: Fedecks) {
    const changes$ = fedecks.connections$.pipe(
      map((change): LiveEvent => {
        const deviceId = change.device.id;
        if (change.type === 'connected') return { event: 'connected', data: { deviceId } };
        const { type: cause, code } = change.cause;
        return { event: 'disconnected', data: { deviceId, cause, code } };
      }),
    );
    const messages$ = fedecks.messages$.pipe(
      map(({ device, message }): LiveEvent => ({
        event: 'message',
        data: { deviceId: device.id, message: toJson(message) },
      })),
    );
    this.lines$ = merge(changes$, messages$, this.errors).pipe(map(line), share());
  }

  handleConnection(operator: WebSocket, { socket }: IncomingMessage): void {
    // An operator who vanished would hold the place of another.
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    send(operator, line({ event: 'devices', data: this.fedecks.devices().map(({ id }) => id) }));
    const watching = this.lines$.subscribe((text) => {
      if (operator.bufferedAmount <= MAX_BUFFERED_BYTES) return send(operator, text);
      watching.unsubscribe();
      operator.close(TOO_SLOW, 'too slow');
    });
    operator.once('close', () => watching.unsubscribe());
  }

  /** Logged by the library, within limits; here it is shown. */
  @OnSocketError()
  failed(@Payload() { deviceId, type, info }: SocketError): void {
    this.errors.next({ event: 'error', data: { deviceId, type, info } });
  }
}

/** As bytes, which all operators share. */
function line(event: LiveEvent): Buffer {
  return Buffer.from(JSON.stringify(event));
}

function send(operator: WebSocket, text: Buffer): void {
  operator.send(text, { binary: false });
}
