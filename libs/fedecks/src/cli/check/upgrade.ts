import { type IncomingMessage } from 'node:http';
import { type Socket } from 'node:net';
import { type ClientOptions, WebSocket } from 'ws';
import { AUTH_HEADER } from '../../wire/internal.js';
import { sanitize } from '../printable.js';
import { type Patience, within } from './steps.js';

const CLOSE_WITHIN_MS = 2_000;
const MAX_BODY_CHARACTERS = 4_096;

/** What a server answered to the request for a websocket. */
export type Answer =
  | { readonly type: 'websocket' }
  | {
      readonly type: 'status';
      readonly status: number;
      /** The beginning of its body. */
      readonly body: string;
      /** The `server` header. */
      readonly server: string | undefined;
      readonly location: string | undefined;
      readonly retryAfter: string | undefined;
    }
  | { readonly type: 'broken'; readonly reason: string };

/**
 * Requests a websocket like a device, over an unused connection, and closes it if the server accepts.
 * @param header the auth header, or undefined for none.
 * @throws {TimeoutError} (rejects) if no answer arrives in time.
 */
export async function askForUpgrade(
  socket: Socket,
  url: string,
  header: string | undefined,
  patience: Patience,
): Promise<Answer> {
  // The published types do not know `closeTimeout` yet.
  const options: ClientOptions & { closeTimeout: number } = {
    headers: header === undefined ? {} : { [AUTH_HEADER]: header },
    perMessageDeflate: false,
    followRedirects: false,
    closeTimeout: CLOSE_WITHIN_MS,
    createConnection: () => socket,
  };
  const websocket = new WebSocket(url, options);
  const closed = new Promise<void>((resolve) => websocket.once('close', () => resolve()));
  try {
    return await within(patience, () => answerOf(websocket));
  } finally {
    if (websocket.readyState === WebSocket.OPEN) {
      websocket.close(1000);
      await closed;
    } else {
      websocket.terminate();
    }
    socket.destroy();
  }
}

function answerOf(websocket: WebSocket): Promise<Answer> {
  return new Promise((resolve) => {
    websocket.on('error', (error) => resolve({ type: 'broken', reason: sanitize(error.message) }));
    websocket.once('open', () => resolve({ type: 'websocket' }));
    websocket.once('unexpected-response', (_request, response: IncomingMessage) => {
      const { statusCode: status = 0, headers } = response;
      void bodyOf(response).then((body) =>
        resolve({
          type: 'status',
          status,
          body,
          // Node's types allow a list, but it never is one.
          server: [headers.server].flat()[0],
          location: headers.location,
          retryAfter: headers['retry-after'],
        }),
      );
    });
  });
}

function bodyOf(response: IncomingMessage): Promise<string> {
  let body = '';
  return new Promise((resolve) => {
    const end = (): void => resolve(body.slice(0, MAX_BODY_CHARACTERS));
    response.on('data', (chunk: Buffer) => {
      body += chunk.toString('latin1');
      if (body.length >= MAX_BODY_CHARACTERS) end();
    });
    response.on('error', end);
    response.once('end', end);
    response.once('close', end);
  });
}
