import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Server as Lock } from 'node:net';
import { dirname } from 'node:path';
import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { AlreadyRunningError, listenAt } from './control-socket.js';
import { ControlError, type ControlRoutes } from './control-routes.js';
import { lockStateDirectory } from './state-lock.js';

/** Nothing that is asked of an agent is larger: credentials, or a message to send. */
const MAX_BODY_BYTES = 256 * 1024;
const MAX_HEADER_BYTES = 8 * 1024;
/** How long a request may take to arrive. */
const REQUEST_TIMEOUT_MS = 5_000;
const LIMITS = {
  maxHeaderSize: MAX_HEADER_BYTES,
  requestTimeout: REQUEST_TIMEOUT_MS,
  headersTimeout: REQUEST_TIMEOUT_MS,
  connectionsCheckingInterval: REQUEST_TIMEOUT_MS,
};
const MAX_CONNECTIONS = 32;
/** Until the socket is tried again where it could not be made. */
const AGAIN_MS = 60_000;

/**
 * The unix socket in the state directory through which the commands talk to the running agent: HTTP, each request on
 * a connection of its own. Who may open the socket may do everything. What comes through it is bounded in size, time
 * and number, and no request can end the agent.
 *
 * Without a disk to make it on, the agent goes on without it, and tries again every minute. A lock keeps other agents from
 * the state directory meanwhile.
 */
@Injectable()
export class ControlServer implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger('Control');
  private server: Server | undefined;
  private lock: Lock | undefined;
  private again: NodeJS.Timeout | undefined;

  constructor(
    private readonly path: string,
    private readonly routes: ControlRoutes,
  ) {}

  /** @throws {AlreadyRunningError} (rejects) if another agent has the state directory. */
  async onModuleInit(): Promise<void> {
    try {
      await this.open();
    } catch (error) {
      if (error instanceof AlreadyRunningError) throw error;
      this.lock = await lockStateDirectory(dirname(this.path));
      this.openLater(error);
    }
  }

  private async open(): Promise<void> {
    const server = createServer(LIMITS, (request, response) => void this.answer(request, response));
    server.maxConnections = MAX_CONNECTIONS;
    const { openToOthers } = await listenAt(this.path, server);
    this.server = server;
    server.on('error', (error) => this.logger.error(`The control socket failed: ${error.message}`));
    if (openToOthers) this.logger.warn('Other users can enter the state directory: run chmod 700 on it');
  }

  private openLater(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.logger.error(`Commands cannot reach this agent: it cannot create its control socket: ${reason}`);
    // This timer also keeps an agent going that has nothing else to do: it waits for a login.
    this.again = setTimeout(() => {
      void this.open().catch((failure: unknown) => this.openLater(failure));
    }, AGAIN_MS);
  }

  onApplicationShutdown(): void {
    clearTimeout(this.again);
    this.lock?.close();
    this.server?.close();
    // Those who follow the log would follow it for ever.
    this.server?.closeAllConnections();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // The client may disconnect before the answer.
    response.on('error', () => undefined);
    try {
      const { method = '', url = '/' } = request;
      // Read the complete request before answering: a client that still writes would get EPIPE instead of the answer.
      const body = await bodyOf(request);
      if (!URL.canParse(url, 'http://agent'))
        throw new ControlError(404, 'The path of the request is invalid.');
      const { pathname, searchParams } = new URL(url, 'http://agent');
      const answer = await this.routes.answer(`${method} ${pathname}`, searchParams, body);
      if (answer.type === 'json') {
        end(response, 200, answer.value);
      } else {
        response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
        answer.stream(response);
      }
    } catch (error) {
      const known = error instanceof ControlError;
      if (!known)
        this.logger.error('A request of a command failed', error instanceof Error ? error.stack : '');
      end(response, known ? error.status : 500, {
        error: known ? error.message : 'The agent failed: see its log.',
      });
    }
  }
}

function end(response: ServerResponse, status: number, value: unknown): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(value)}\n`);
}

/** The JSON that comes with a request; undefined if nothing does. */
async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      // The rest is read and discarded, so that the client gets the error.
      if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
    }
  } catch {
    throw new ControlError(400, 'The request is incomplete.');
  }
  if (bytes > MAX_BODY_BYTES) throw new ControlError(413, `The request exceeds ${MAX_BODY_BYTES} bytes.`);
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
  } catch {
    throw new ControlError(400, 'The request is not JSON.');
  }
}
