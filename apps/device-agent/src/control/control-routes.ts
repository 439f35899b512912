import { type ServerResponse } from 'node:http';
import { Injectable, Logger } from '@nestjs/common';
import { type Credentials, FedecksClient, LoginFailedError } from '@fedecks/nest/client-nest';
import { FedecksError, type Term } from '@fedecks/nest/wire';
import { CLAIM_REJECTED } from '../connection/claim-rejected.js';
import { inVariables } from '../connection/tls-files.js';
import { MAX_LINES, RecentLog } from '../log/recent-log.js';
import { StatusReport } from './status-report.js';

/** Why a request is not done, in words for the person who asked. */
export class ControlError extends Error {
  /** @param status of HTTP: 4xx the request is wrong, 409 the state does not allow it, 502 the cloud refused. */
  constructor(
    readonly status: 400 | 404 | 409 | 413 | 429 | 502,
    message: string,
  ) {
    super(message);
  }
}

export type ControlAnswer =
  | { readonly type: 'json'; readonly value: unknown }
  | { readonly type: 'text'; readonly stream: (response: ServerResponse) => void };

/** Connections are kept for other requests, `status` above all. */
const MAX_FOLLOWERS = 8;
/** What may wait for a follower that does not read; then it has to go. */
const MAX_WAITING_BYTES = 256 * 1024;

/** What can be asked of a running agent. */
@Injectable()
export class ControlRoutes {
  private readonly logger = new Logger('Control');
  private followers = 0;

  constructor(
    private readonly client: FedecksClient,
    private readonly report: StatusReport,
    private readonly log: RecentLog,
  ) {}

  /**
   * @param route method and path of the request.
   * @throws {ControlError} (rejects) with what is wrong.
   */
  async answer(route: string, query: URLSearchParams, body: unknown): Promise<ControlAnswer> {
    switch (route) {
      case 'GET /status':
        return { type: 'json', value: this.report.status() };
      case 'POST /login':
        return this.login(body);
      case 'POST /send':
        return this.send(body);
      case 'POST /logout':
        return this.logout();
      case 'GET /logs':
        return this.logs(query);
      default:
        throw new ControlError(404, `The request ${JSON.stringify(route.slice(0, 80))} does not exist.`);
    }
  }

  private async login(body: unknown): Promise<ControlAnswer> {
    this.logger.log('Login requested');
    // The client itself refuses what are no credentials.
    await this.client.login(body as Credentials).catch((error: unknown) => {
      const isRejectedClaim = isObject(body) && 'claim' in body && isRejection(error);
      throw new ControlError(502, isRejectedClaim ? CLAIM_REJECTED : messageOf(error));
    });
    return DONE;
  }

  private async send(body: unknown): Promise<ControlAnswer> {
    const { event, payload = null } = isObject(body) ? body : {};
    if (typeof event !== 'string' || event === '') {
      throw new ControlError(400, 'The event needs a name: { "event": "...", "payload": ... }.');
    }
    await this.client.send(event, payload as Term).catch((error: unknown) => {
      throw new ControlError(409, messageOf(error));
    });
    return DONE;
  }

  private async logout(): Promise<ControlAnswer> {
    this.logger.log('Logout requested');
    await this.client.logout().catch((error: unknown) => {
      throw new ControlError(
        409,
        `Disconnected, but the token is still stored and the agent uses it at the next start: ${messageOf(error)}`,
      );
    });
    return DONE;
  }

  private logs(query: URLSearchParams): ControlAnswer {
    const asked = query.get('lines') ?? String(MAX_LINES);
    const lines = /^\d{1,6}$/.test(asked) ? Number(asked) : undefined;
    if (lines === undefined) throw new ControlError(400, 'lines must be a whole number.');
    const follow = query.has('follow');
    if (follow && this.followers >= MAX_FOLLOWERS) {
      throw new ControlError(429, `${MAX_FOLLOWERS} other commands already follow the log: end one of them.`);
    }
    return { type: 'text', stream: (response) => this.stream(response, lines, follow) };
  }

  private stream(response: ServerResponse, lines: number, follow: boolean): void {
    const newest = this.log.newest(lines).map((line) => `${line}\n`);
    if (!follow) return void response.end(newest.join(''));
    response.flushHeaders();
    response.write(newest.join(''));
    const stop = this.log.follow((line) => {
      if (response.writableLength > MAX_WAITING_BYTES) response.destroy();
      else response.write(`${line}\n`);
    });
    this.followers++;
    response.once('close', () => {
      stop();
      this.followers--;
    });
  }
}

const DONE: ControlAnswer = { type: 'json', value: { done: true } };

/** Our own errors hold no credentials, tokens or payloads; of others, the message may be a system's. */
function messageOf(error: unknown): string {
  if (error instanceof FedecksError || error instanceof Error) return inVariables(error.message);
  return String(error);
}

/** By the cloud, and not by something in front of it. */
function isRejection(error: unknown): boolean {
  return error instanceof LoginFailedError && error.status === 403;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
