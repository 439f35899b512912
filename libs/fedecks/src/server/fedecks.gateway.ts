import { type IncomingMessage, type ServerResponse } from 'node:http';
import { type Duplex } from 'node:stream';
import {
  type CanActivate,
  HttpException,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import proxyAddr from 'proxy-addr';
import { isObservable, lastValueFrom } from 'rxjs';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import { deliver, HandlerExplorer, type ResultSink, Router } from '../handlers/index.js';
import { CLOSE, encodeTokenMessage, type Term } from '../wire/index.js';
import { FedecksAuthGuard, UpgradeRefused, type UpgradeRequest } from './auth.guard.js';
import { type Backplane } from './backplane.js';
import { drain } from './drain.js';
import { Connection, type Endpoint } from './connection.js';
import {
  type AuthenticatedDevice,
  type ConnectedDevice,
  type DisconnectCause,
  type SocketError,
} from './device.js';
import { FEDECKS_OPTIONS, type ResolvedOptions } from './fedecks-options.js';
import { Fedecks } from './fedecks.service.js';
import { Flapping } from './flapping.js';
import { Groups } from './groups.js';
import { LimitedLog } from './limited-log.js';
import { LocalNode } from './local-node.js';
import { providerOf } from './provider-of.js';
import { answer } from './refusal.js';
import { Registry } from './registry.js';
import { MemoryRevocations, Revocations, type RevocationStore } from './revocations.js';
import { type Grant, Tokens } from './token.js';
import { type PathOwner, UpgradeDispatcher } from './upgrade-dispatcher.js';
import { UpgradeLimiter } from './upgrade-limits.js';

/** How a good or bad upgrade is answered. */
type Verdict =
  | { readonly device: AuthenticatedDevice; readonly grant: Grant }
  | { readonly status: number; readonly retryAfterS?: number };

/** How long, in ms, the peer of a connection that is being closed has to end its side of TCP. */
const LINGER_MS = 1_000;

/** When a device that was refused for a passing reason may come again. */
const RETRY_AFTER_S = 10;

/** Another node, or the next start of this one, takes the device at once. */
const DRAINING: Verdict = { status: 503, retryAfterS: 1 };

/** One endpoint: owns the upgrade of its path, and the connections of its devices. */
@Injectable()
export class FedecksGateway implements PathOwner, Endpoint, OnModuleInit, OnApplicationBootstrap {
  /** @internal */
  readonly registry = new Registry();
  /** @internal */
  readonly groups: Groups = new Groups((name, any) => this.backplane.hasMembers(name, any));
  /** @internal The connections of this node. */
  readonly node: LocalNode;
  /** @internal The link to the other nodes. */
  readonly backplane: Backplane;
  /** @internal */
  router = new Router([]);
  private readonly logger: Logger;
  private readonly limited: LimitedLog;
  private readonly limiter: UpgradeLimiter;
  private readonly trusted: ReturnType<typeof proxyAddr.compile>;
  private readonly flapping = new Flapping();
  private readonly websockets: WebSocketServer;
  private guards: readonly CanActivate[] = [];
  /** Ends the wait for the verdict on an upgrade, for each that is waited for. */
  private readonly pending = new Set<(verdict: Verdict) => void>();
  private draining = false;
  private ticking: NodeJS.Timeout | undefined;

  constructor(
    @Inject(FEDECKS_OPTIONS) readonly options: ResolvedOptions,
    private readonly authGuard: FedecksAuthGuard,
    private readonly tokens: Tokens,
    readonly revocations: Revocations,
    private readonly fedecks: Fedecks,
    private readonly explorer: HandlerExplorer,
    private readonly dispatcher: UpgradeDispatcher,
    private readonly moduleRef: ModuleRef,
  ) {
    this.logger = new Logger(`Fedecks ${options.path}`);
    this.limited = new LimitedLog(this.logger);
    this.limiter = new UpgradeLimiter(options);
    this.node = new LocalNode(
      options,
      this.registry,
      this.groups,
      revocations,
      this.report.bind(this),
      this.logger,
      new LimitedLog(this.logger),
    );
    this.backplane = options.backplane(this.node);
    this.trusted = proxyAddr.compile([...options.trustedProxies]);
    const websockets: ServerOptions & { closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: options.maxFrameBytes,
      handleProtocols: () => false,
      closeTimeout: LINGER_MS,
    };
    this.websockets = new WebSocketServer(websockets);
  }

  onModuleInit(): void {
    this.guards = [
      this.authGuard,
      ...this.options.guards.map((guard) => providerOf(this.moduleRef, guard, 'guards')),
    ];
    this.revocations.keepIn(this.backplane.revocations ?? storeOf(this.moduleRef, this.options.revocations));
    this.fedecks.register(this);
  }

  async onApplicationBootstrap(): Promise<void> {
    this.router = new Router(this.fedecks.handlersOf(this.options.path, this.explorer));
    this.dispatcher.claim(this.options.path, this);
    this.websockets.on('wsClientError', (_error, socket) => answer(socket, 400));
    // Exact enough for a timeout of a minute, and fine enough for one of a test.
    const { idleTimeoutMs, tokenRefreshMs } = this.options;
    const everyMs = Math.min(1_000, Math.max(10, Math.min(idleTimeoutMs, tokenRefreshMs) / 10));
    this.ticking = setInterval(() => this.tick(), everyMs).unref();
    await this.backplane.start();
    this.logger.log(`Devices connect at ${this.options.path}/websocket`);
  }

  /** Refuses new devices, lets handlers finish, and closes the connections in stages over `drainMs`. */
  async shutDown(): Promise<void> {
    this.draining = true;
    for (const giveUp of this.pending) giveUp(DRAINING);
    const connections = [...this.registry.all()];
    await drain(connections, this.options.drainMs);
    clearInterval(this.ticking);
    await Promise.all(connections.map((connection) => connection.gone()));
    await this.backplane.close();
  }

  // --- The upgrade -----------------------------------------------------------------------------------------

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until the websocket has it, an error of the socket is nobody's.
    const ignored = (): void => undefined;
    socket.on('error', ignored);
    const claims = isWebSocket(request) && this.options.duplicates === 'oldest';
    void this.judge(request, claims).then((judged) => {
      const verdict = 'device' in judged ? this.lastWord(judged.device, judged.grant) : judged;
      const opens = 'device' in verdict && !socket.destroyed && isWebSocket(request);
      if (claims && 'device' in judged && !opens) this.backplane.unclaim(judged.device.id);
      if (socket.destroyed) return;
      if (!('device' in verdict)) return answer(socket, verdict.status, retryAfter(verdict.retryAfterS));
      if (!opens) return answer(socket, 426, UPGRADE_REQUIRED);
      socket.off('error', ignored);
      this.websockets.handleUpgrade(request, socket, head, (ws) =>
        this.open(ws, socket, verdict.device, verdict.grant),
      );
    });
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    void this.judge(request).then((verdict) => {
      const [status, headers] =
        'device' in verdict ? [426, UPGRADE_REQUIRED] : [verdict.status, retryAfter(verdict.retryAfterS)];
      response.writeHead(status, { 'content-length': 0, ...headers }).end();
    });
  }

  /** Runs the guards, and takes the device's place if it needs one, within `upgradeTimeoutMs`. */
  private async judge(request: UpgradeRequest, claims = false): Promise<Verdict> {
    if (this.draining) return DRAINING;
    // The address before any work: it is what attempts are counted by.
    request.remoteAddress =
      this.options.trustedProxies.length > 0
        ? proxyAddr(request, this.trusted)
        : (request.socket.remoteAddress ?? '');
    const retryAfterS = this.limiter.refuse(request.remoteAddress, Date.now());
    if (retryAfterS !== undefined) return { status: 503, retryAfterS };
    let giveUp!: (verdict: Verdict) => void;
    const late = new Promise<Verdict>((resolve) => (giveUp = resolve));
    const timer = setTimeout(
      () => giveUp(this.refusal(request, new Error('upgradeTimeoutMs has passed'))),
      this.options.upgradeTimeoutMs,
    );
    this.pending.add(giveUp);
    try {
      const verdict = await Promise.race([this.passGuards(request), late]);
      return claims && 'device' in verdict ? await this.claim(verdict.device, verdict.grant) : verdict;
    } catch (error) {
      return this.refusal(request, error);
    } finally {
      clearTimeout(timer);
      this.pending.delete(giveUp);
    }
  }

  private async passGuards(request: UpgradeRequest): Promise<Verdict> {
    const context = new ExecutionContextHost([request], FedecksGateway, this.upgrade.bind(this));
    for (const guard of this.guards) {
      const result = guard.canActivate(context);
      const passed = await (isObservable(result) ? lastValueFrom(result) : result);
      if (!passed) throw refusedBy(request, guard);
    }
    const { device, grant = { generation: 0, expiresAt: 0 } } = request;
    if (!device) throw new Error('FedecksAuthGuard was replaced by a guard that sets no request.device');
    return { device, grant };
  }

  /** With 'oldest', a device that is connected to any node may not come in again. */
  private async claim(device: AuthenticatedDevice, grant: Grant): Promise<Verdict> {
    const free = this.registry.of(device.id).length === 0 && (await this.backplane.claim(device));
    return free ? { device, grant } : this.duplicate(device);
  }

  private duplicate({ id: deviceId }: AuthenticatedDevice): Verdict {
    this.report({ deviceId, type: 'duplicate', info: 'this device id is connected already' });
    return { status: 503, retryAfterS: RETRY_AFTER_S };
  }

  /** What may have changed while the guards were at it. Nothing is waited for between this and the 101. */
  private lastWord(device: AuthenticatedDevice, grant: Grant): Verdict {
    if (this.draining) return DRAINING;
    if (this.revocations.wasRevokedMeanwhile(device.id, grant.generation)) {
      this.report({ deviceId: device.id, type: 'invalid_token', info: 'revoked' });
      return { status: 403 };
    }
    if (this.options.duplicates === 'oldest' && this.registry.of(device.id).length > 0)
      return this.duplicate(device);
    return { device, grant };
  }

  private refusal(request: UpgradeRequest, error: unknown): Verdict {
    if (error instanceof UpgradeRefused) {
      this.report(error.report);
      return { status: 403 };
    }
    const deviceId = request.deviceId ?? null;
    if (error instanceof HttpException && error.getStatus() < 500) {
      this.report({ deviceId, type: 'refused_by_guard', info: error.name, error });
      return { status: 403 };
    }
    // Our fault, not the device's: it may come again, and its token is still good.
    this.report({
      deviceId,
      type: 'upgrade_failed',
      info: error instanceof Error ? error.message : '',
      error,
    });
    return { status: 503, retryAfterS: RETRY_AFTER_S };
  }

  private open(ws: WebSocket, socket: Duplex, authenticated: AuthenticatedDevice, grant: Grant): void {
    const device: ConnectedDevice = { ...authenticated, since: Date.now() };
    const older = this.options.duplicates === 'newest' ? [...this.registry.of(device.id)] : [];
    for (const connection of older) connection.end('replaced', CLOSE.replaced, 'replaced');
    if (older.length > 0 && this.flapping.notice(device.id, device.since)) {
      this.report({
        deviceId: device.id,
        type: 'flapping',
        info: 'replaced five times within a minute: do two machines use this device id?',
      });
    }
    const connection = new Connection(device, ws, socket, this, grant);
    this.registry.add(connection);
    this.backplane.opened(device);
    this.fedecks.changed({ type: 'connected', device });
    connection.start();
  }

  // --- What connections ask of their endpoint --------------------------------------------------------------

  tokenFrame({ id, claims }: ConnectedDevice, grant: Grant): Buffer {
    return encodeTokenMessage(this.tokens.issue(id, claims, grant));
  }

  /** @internal */
  received(device: ConnectedDevice, message: Term | Uint8Array): void {
    this.fedecks.received(device, message);
  }

  /** @internal */
  ended(connection: Connection, cause: DisconnectCause): void {
    this.registry.remove(connection);
    this.groups.leaveAll(connection);
    const other = this.node.held(connection.device.id);
    if (other) this.backplane.opened(other);
    else this.backplane.closed(connection.device, cause);
    this.fedecks.changed({ type: 'disconnected', device: connection.device, cause });
  }

  /** Tells `@OnSocketError` and the log. Never throws. */
  report(error: SocketError): void {
    const who = error.deviceId === null ? 'a device' : `device ${JSON.stringify(error.deviceId)}`;
    const line = `${who}: ${error.type}${error.info && `: ${error.info}`}`;
    if (error.type === 'handler_failed' || error.type === 'upgrade_failed')
      this.limited.error(line, error.error);
    else this.limited.warn(line);
    for (const handler of this.router.errors) {
      const failed = (failure: unknown): void =>
        this.limited.error(`@OnSocketError ${handler.name} failed`, failure);
      try {
        deliver(handler.call(error, { id: error.deviceId }), nowhere(failed))?.catch(failed);
      } catch (failure) {
        failed(failure);
      }
    }
  }

  private tick(): void {
    const now = Date.now();
    for (const connection of [...this.registry.all()]) connection.tick(now);
  }
}

/** The default store is no provider of the app's. */
function storeOf(moduleRef: ModuleRef, given: ResolvedOptions['revocations']): RevocationStore {
  return given === MemoryRevocations ? new MemoryRevocations() : providerOf(moduleRef, given, 'revocations');
}

function isWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket' && headers['sec-websocket-version'] === '13';
}

const UPGRADE_REQUIRED = {
  connection: 'upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
} as const;

function retryAfter(seconds: number | undefined): Record<string, string> {
  return seconds === undefined ? {} : { 'retry-after': String(seconds) };
}

function refusedBy({ deviceId }: UpgradeRequest, guard: CanActivate): UpgradeRefused {
  const info = guard.constructor.name;
  return new UpgradeRefused({ deviceId: deviceId ?? null, type: 'refused_by_guard', info });
}

/** `@OnSocketError` has nobody to answer, but what it returns may have to be waited for, or run. */
function nowhere(failed: (failure: unknown) => void): ResultSink {
  return {
    send: () => undefined,
    stop: () => undefined,
    stream: (values) => void values.subscribe({ error: failed }),
    drained: () => Promise.resolve(),
  };
}
