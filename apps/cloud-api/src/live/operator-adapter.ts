import { type INestApplicationContext } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import { type ServerOptions, type WebSocket, type WebSocketServer } from 'ws';
import { type ApiKey } from '../api-key/api-key.js';
import { LineLimit } from '../log/line-limit.js';

/** Each may hold about 2 MiB of what it has not read. */
const MAX_OPERATORS = 50;
/** How long, in milliseconds, an operator has to answer a close frame. */
const CLOSE_TIMEOUT_MS = 5_000;

type VerifyClient = Extract<NonNullable<ServerOptions['verifyClient']>, (info: never, answer: never) => void>;

/**
 * Checks the API key before a websocket exists: at all gateways, strangers are answered 401 and disconnected. The
 * operator after the fiftieth is answered 503.
 */
export class OperatorAdapter extends WsAdapter {
  private readonly errors = new LineLimit(this.logger, 'operators', { ofAll: 20, ofEach: 20 });

  constructor(
    app: INestApplicationContext,
    private readonly apiKey: ApiKey,
  ) {
    super(app);
  }

  override create(port: number, options: Record<string, unknown> = {}): WebSocketServer {
    const verifyClient: VerifyClient = ({ req }, answer) => {
      if (!this.apiKey.isIn(req.headers)) answer(false, 401);
      else if (server.clients.size >= MAX_OPERATORS) answer(false, 503);
      else answer(true);
    };
    const server = super.create(port, {
      ...options,
      closeTimeout: CLOSE_TIMEOUT_MS,
      verifyClient,
    }) as WebSocketServer;
    return server;
  }

  /** Without the stack that the stock adapter logs for each bad frame, and with a limit. */
  override bindErrorHandler(server: WebSocketServer): WebSocketServer {
    server.on('connection', (operator: WebSocket) => {
      operator.on('error', ({ message }) => {
        if (this.errors.admit('operator')) this.logger.warn(`an operator was disconnected: ${message}`);
      });
    });
    server.on('error', (error) => this.logger.error(error));
    return server;
  }
}
