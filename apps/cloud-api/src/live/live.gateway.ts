import { type IncomingMessage } from 'node:http';
import { type OnGatewayConnection, WebSocketGateway } from '@nestjs/websockets';
import { Fedecks, OnSocketError, Payload, type SocketError } from '@fedecks/nest';
import { map, merge, type Observable, share, Subject } from 'rxjs';
import { type WebSocket } from 'ws';
import { ApiKey } from '../api-key/api-key.js';
import { type Json, toJson } from './term-json.js';

/** What an operator sees: an event's name and what it is about. */
interface LiveEvent {
  readonly event: 'devices' | 'connected' | 'disconnected' | 'message' | 'error';
  readonly data: Json;
}

/** Policy violation (RFC 6455 §7.4.1): no key, or the wrong one. */
const UNAUTHORIZED = 1008;
/** How much may wait for an operator who reads too slowly. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

/**
 * Shows operators what devices do, as it happens: first the connected `devices`, then `connected`,
 * `disconnected`, `message` and `error`, as JSON. The API key is presented in a header of the upgrade; operators
 * are not listened to.
 */
@WebSocketGateway({ path: '/live', maxPayload: 1024 })
export class LiveGateway implements OnGatewayConnection<WebSocket> {
  private readonly errors = new Subject<LiveEvent>();
  /** Made into text once for all operators, and only while there are any. */
  private readonly lines$: Observable<string>;

  constructor(
    private readonly fedecks: Fedecks,
    private readonly apiKey: ApiKey,
  ) {
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

  handleConnection(operator: WebSocket, request: IncomingMessage): void {
    if (!this.apiKey.isIn(request.headers)) {
      operator.close(UNAUTHORIZED, 'present the API key as x-api-key');
      return;
    }
    operator.send(line({ event: 'devices', data: this.fedecks.devices().map(({ id }) => id) }));
    const watching = this.lines$.subscribe((text) => {
      operator.send(text);
      // Not closed but cut off: a close frame would wait behind all that has not been read.
      if (operator.bufferedAmount > MAX_BUFFERED_BYTES) operator.terminate();
    });
    operator.once('close', () => watching.unsubscribe());
  }

  /** Logged by the library, within limits; here it is shown. */
  @OnSocketError()
  failed(@Payload() { deviceId, type, info }: SocketError): void {
    this.errors.next({ event: 'error', data: { deviceId, type, info } });
  }
}

function line(event: LiveEvent): string {
  return JSON.stringify(event);
}
