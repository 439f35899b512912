import { type IncomingMessage } from 'node:http';
import { type INestApplicationContext } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import { interval, merge, type Observable } from 'rxjs';
import { type ServerOptions, type WebSocket, type WebSocketServer } from 'ws';
import { type Authenticator } from '../access/authenticator.js';
import { isFromThisHost } from '../access/request-origin.js';
import { LineLimit } from '../log/line-limit.js';

/** Each may hold about 2 MiB of what it has not read. */
const MAX_OPERATORS = 50;
/** Upgrades whose key or session is being looked up. */
const MAX_LOOKUPS = 20;
/** How long, in milliseconds, an operator has to answer a close frame. */
const CLOSE_TIMEOUT_MS = 5_000;
/** How often, in milliseconds, it is looked up whether those who watch still may: another node may have ended their session. */
const RECHECK_MS = 60_000;
/** "Policy violation", by RFC 6455. */
const NOT_ALLOWED = 1008;

type VerifyClient = Extract<NonNullable<ServerOptions['verifyClient']>, (info: never, answer: never) => void>;

/**
 * Looks up who wants a websocket before it exists: at all gateways, strangers are answered 401, pages of another host that use
 * the cookie of an operator 403, and the operator after the fiftieth 503, as is everybody while the database is away but the key
 * of the environment. Whose key or session ends is closed with 1008: at once, or within a minute if it ended at another node.
 */
export class OperatorAdapter extends WsAdapter {
  private readonly errors = new LineLimit(this.logger, 'operators', { ofAll: 20, ofEach: 20 });
  private lookups = 0;

  /**
   * @param changes$ emits when a key, a session or a role has changed.
   * @param isTrusted whether the peer of this address is a proxy that may name the host.
   */
  constructor(
    app: INestApplicationContext,
    private readonly authenticator: Authenticator,
    private readonly changes$: Observable<void>,
    private readonly isTrusted: (address: string) => boolean,
    private readonly recheckMs = RECHECK_MS,
  ) {
    super(app);
  }

  override create(port: number, options: Record<string, unknown> = {}): WebSocketServer {
    const verifyClient: VerifyClient = ({ req }, answer) => {
      void this.statusFor(req).then((status) => {
        if (status !== 'welcome') answer(false, status);
        else if (server.clients.size >= MAX_OPERATORS) answer(false, 503);
        else answer(true);
      });
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
    server.on('connection', (operator: WebSocket, request: IncomingMessage) => {
      operator.on('error', ({ message }) => {
        if (this.errors.admit('operator')) this.logger.warn(`an operator was disconnected: ${message}`);
      });
      this.closeWhenRevoked(operator, request);
    });
    server.on('error', (error) => this.logger.error(error));
    return server;
  }

  /** How an upgrade is answered; never rejects. */
  private async statusFor(request: IncomingMessage): Promise<401 | 403 | 503 | 'welcome'> {
    if (this.lookups >= MAX_LOOKUPS) return 503;
    this.lookups++;
    try {
      const actor = await this.authenticator.actorOf(request.headers);
      if (!actor) return 401;
      if (actor.kind === 'operator' && isFromThisHost(request.headers, this.hostOf(request)) !== true)
        return 403;
      return 'welcome';
    } catch {
      return 503;
    } finally {
      this.lookups--;
    }
  }

  /** As Express reads it. */
  private hostOf({ headers, socket }: IncomingMessage): string | undefined {
    const { 'x-forwarded-host': forwarded, host } = headers;
    const isForwarded = typeof forwarded === 'string' && this.isTrusted(socket.remoteAddress ?? '');
    return isForwarded ? forwarded.split(',')[0]?.trim() : host;
  }

  private closeWhenRevoked(operator: WebSocket, { headers }: IncomingMessage): void {
    const checking = merge(this.changes$, interval(this.recheckMs)).subscribe(() => {
      this.authenticator.actorOf(headers).then(
        (actor) => actor ?? operator.close(NOT_ALLOWED, 'logged out'),
        // The database is away: this is looked up again.
        () => undefined,
      );
    });
    operator.once('close', () => checking.unsubscribe());
  }
}
