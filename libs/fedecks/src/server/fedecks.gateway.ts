import { type IncomingMessage, type ServerResponse } from 'node:http';
import { type Duplex } from 'node:stream';
import {
  HttpException,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { HandlerExplorer, Router, turns } from '../handlers/index.js';
import { type DeliveryInfo, HandlerRunner } from '../results/index.js';
import {
  type Attempt,
  type DecodeOptions,
  encodeLimits,
  encodeTokenMessage,
  PROTOCOL_HEADER,
  speaksProtocol2,
  type Term,
} from '../wire/internal.js';
import { type Backplane } from './backplane.js';
import { Deliveries } from './deliveries/deliveries.js';
import { type DeliveryStore, MemoryDeliveryStore, STORE_METHODS } from './deliveries/delivery-store.js';
import { ToDevices } from './deliveries/to-devices.js';
import { drain } from './drain.js';
import { isOtherProcess } from './duplicates.js';
import { Endpoints } from './endpoints.js';
import { Connection } from './connection.js';
import { type ConnectedDevice, type DisconnectCause, type SocketError } from './device.js';
import { FEDECKS_OPTIONS, type ResolvedOptions } from './fedecks-options.js';
import { Leftovers } from './leftovers.js';
import { isDebugLogged, LimitedLog } from './limited-log.js';
import { LocalNode } from './local-node.js';
import { providerOf } from './provider-of.js';
import { MemoryRevocations, Revocations, type RevocationStore } from './revocations.js';
import { Telemetry } from './telemetry.js';
import { type Grant, Tokens } from './token.js';
import { Admission, type UpgradeDecision } from './upgrade/admission.js';
import { FedecksAuthGuard } from './upgrade/auth.guard.js';
import { UpgradeDispatcher } from './upgrade/dispatcher.js';
import { refusalHeaders, reply, UPGRADE_REQUIRED } from './upgrade/http-reply.js';
import { passGuards } from './upgrade/pass-guards.js';
import { type Authenticated, presentedTypeOf, type UpgradeRequest } from './upgrade/upgrade-request.js';
import { binaryFrame } from './websocket/frame-writer.js';
import { acceptHandshake, checkHandshake } from './websocket/handshake.js';

/** Errors that any client can cause, without authentication. */
const REFUSALS: ReadonlySet<SocketError['type']> = new Set([
  'invalid_auth_header',
  'authentication_failed',
  'invalid_token',
  'refused_by_guard',
]);

/** Logged when the first device delivers, and no store was chosen. */
const FORGETS_AT_RESTART =
  'The cloud keeps in memory which deliveries were handled: after a restart of this process, a message may be handled again ' +
  "whose handler had finished and whose acknowledgement had not arrived. Set 'deliveryStore' to keep it elsewhere.";

/** Logged when the first message for a device is kept, and no store was chosen. */
const LOST_AT_RESTART =
  "The cloud keeps messages for devices in memory: a restart of this process loses those that wait. Set 'deliveryStore' to keep " +
  'them elsewhere.';

/** One endpoint: handles the upgrades of its path, and owns the connections of its devices. */
@Injectable()
export class FedecksGateway implements OnModuleInit, OnApplicationBootstrap {
  /** @internal The connections of this node. */
  readonly node: LocalNode;
  /** @internal The link to the other nodes. */
  readonly backplane: Backplane;
  /** @internal */
  router = new Router([]);
  /** @internal */
  readonly telemetry: Telemetry;
  /** @internal */
  readonly deliveries: Deliveries;
  /** @internal */
  readonly toDevices: ToDevices;
  private readonly logger: Logger;
  private readonly limited: LimitedLog;
  /** A separate limit, so that unauthenticated clients do not use up the other log. */
  private readonly strangers: LimitedLog;
  private readonly leftovers: Leftovers<Connection>;
  /** @internal */
  readonly decoding: DecodeOptions;
  /** The limits header for devices. */
  private readonly limits: string;
  private admission!: Admission;
  private tickTimer: NodeJS.Timeout | undefined;

  /** @internal */
  constructor(
    /** @internal */
    @Inject(FEDECKS_OPTIONS) readonly options: ResolvedOptions,
    private readonly authGuard: FedecksAuthGuard,
    private readonly tokens: Tokens,
    /** @internal */
    readonly revocations: Revocations,
    private readonly endpoints: Endpoints,
    private readonly explorer: HandlerExplorer,
    private readonly dispatcher: UpgradeDispatcher,
    private readonly moduleRef: ModuleRef,
  ) {
    this.logger = new Logger(`Fedecks ${options.path}`);
    this.limited = new LimitedLog(this.logger);
    this.strangers = new LimitedLog(this.logger);
    this.telemetry = new Telemetry(options.path, new LimitedLog(this.logger), isDebugLogged);
    const deliveryLog = new LimitedLog(this.logger);
    this.deliveries = new Deliveries(options.path, deliveryLog);
    this.toDevices = new ToDevices(options.path, {
      peerOf: (deviceId) => this.node.newest(deviceId),
      deviceIds: () => [...new Set(this.node.connections().map(({ device }) => device.id))],
      announce: (deviceId, entries) => this.backplane.announce(deviceId, entries),
      onState: (state) => this.telemetry.onDeliveryState(state),
      onFailure: (what, error) => deliveryLog.error(`The delivery store failed at ${what}`, error),
    });
    this.node = new LocalNode(
      options,
      revocations,
      this.report.bind(this),
      this.logger,
      new LimitedLog(this.logger),
      (name, any) => this.backplane.hasMembers(name, any),
      this.toDevices,
      this.telemetry,
    );
    this.backplane = options.backplane(this.node);
    this.leftovers = new Leftovers(options);
    this.decoding = decodingOf(options);
    this.limits = encodeLimits({ framesPerSecond: options.messagesPerSecond || undefined });
  }

  onModuleInit(): void {
    this.admission = this.makeAdmission();
    const { metrics } = this.options;
    this.telemetry.recorder = metrics && providerOf(this.moduleRef, metrics, 'metrics', ['count', 'observe']);
    this.revocations.useStore(
      this.backplane.revocations ?? storeOf(this.moduleRef, this.options.revocations),
    );
    this.keepDeliveries();
    this.endpoints.add(this);
  }

  private keepDeliveries(): void {
    const { deliveryStore: given } = this.options;
    const store =
      given === MemoryDeliveryStore
        ? this.backplane.deliveries
        : providerOf<DeliveryStore>(this.moduleRef, given, 'deliveryStore', STORE_METHODS);
    const inMemory = new MemoryDeliveryStore();
    this.deliveries.keepIn(store ?? inMemory, store ? undefined : FORGETS_AT_RESTART);
    this.toDevices.keepIn(store ?? inMemory, store ? undefined : () => this.logger.warn(LOST_AT_RESTART));
  }

  async onApplicationBootstrap(): Promise<void> {
    this.router = new Router(this.endpoints.handlersOf(this.options.path, this.explorer));
    this.dispatcher.claim(this.options.path, this);
    // Precise enough for timeouts of a minute, and for the short ones of tests.
    const { idleTimeoutMs, tokenRefreshMs } = this.options;
    const everyMs = Math.min(1_000, Math.max(10, Math.min(idleTimeoutMs, tokenRefreshMs) / 10));
    // Reads received data first: after a suspension of the process, no device was silent.
    this.tickTimer = setInterval(() => setImmediate(() => this.tick()), everyMs).unref();
    await this.backplane.start();
    this.logger.log(`Devices connect at ${this.options.path}/websocket`);
  }

  /** Rejects new devices, lets handlers finish, and closes the connections in stages over `drainMs`. @internal */
  async shutDown(): Promise<void> {
    this.admission.drain();
    this.deliveries.beginToClose();
    this.toDevices.beginToClose();
    await drain([...this.node.connections(), ...this.leftovers.all()], this.options.drainMs);
    await Promise.all([this.deliveries.close(), this.toDevices.close()]);
    clearInterval(this.tickTimer);
    await this.backplane.close();
  }

  // --- The upgrade -----------------------------------------------------------------------------------------

  private makeAdmission(): Admission {
    const guards = [
      this.authGuard,
      ...this.options.guards.map((guard) => providerOf(this.moduleRef, guard, 'guards', ['canActivate'])),
    ];
    const handler = this.upgrade.bind(this);
    const { decisions } = this.node;
    return new Admission({
      options: this.options,
      tokens: this.tokens,
      revocations: this.revocations,
      claims: this.backplane,
      authenticate: (request) =>
        passGuards(request, guards, new ExecutionContextHost([request], FedecksGateway, handler)),
      isConnected: this.node.has.bind(this.node),
      isOutdated: decisions.isOutdated.bind(decisions),
      isRefusedClone: decisions.isRefused.bind(decisions),
      isCloneElsewhere: this.isCloneElsewhere.bind(this),
      isBehind: (deviceId) => this.leftovers.areFull(deviceId),
      report: this.report.bind(this),
      run: (work) => turns.run(work),
    });
  }

  /** @internal */
  onListening(onUnixSocket: boolean): void {
    this.admission.onUnixSocket = onUnixSocket;
    if (!onUnixSocket || this.options.trustedProxies.length > 0) return;
    this.logger.warn(
      "The server listens on a unix socket, whose peers have no address: all devices share one 'upgradesPerAddressPerMinute' limit. " +
        "If your proxy sets X-Forwarded-For, set trustedProxies: ['loopback'].",
    );
  }

  /** @internal */
  upgrade(request: UpgradeRequest, socket: Duplex, head: Buffer): void {
    // Handles socket errors until the websocket takes over.
    const onError = (): void => undefined;
    const onClose = (): void => {
      this.admission.abort(request);
      this.reportRejection(request, undefined);
    };
    socket.on('error', onError).on('close', onClose);
    const fault = checkHandshake(request);
    const act = (decision: UpgradeDecision): boolean => {
      // onClose has reported it, or will.
      if (socket.destroyed) return false;
      socket.off('close', onClose);
      if ('status' in decision) this.refuse(request, socket, decision.status, refusalHeaders(decision));
      else if (fault) {
        this.refuse(request, socket, fault.status, fault.status === 426 ? UPGRADE_REQUIRED : {});
      } else {
        socket.off('error', onError);
        this.open(request, socket, head, decision);
        return true;
      }
      return false;
    };
    this.admission.decide(request, !fault, act).catch((error: unknown) => this.abort(socket, error));
  }

  /** @internal */
  request(request: IncomingMessage, response: ServerResponse): void {
    response.on('close', () => this.admission.abort(request));
    const act = (decision: UpgradeDecision): boolean => {
      const [status, headers] =
        'device' in decision ? [426, UPGRADE_REQUIRED] : [decision.status, refusalHeaders(decision)];
      response.writeHead(status, { 'content-length': 0, ...headers }).end();
      return false;
    };
    this.admission.decide(request, false, act).catch((error: unknown) => this.abort(response, error));
  }

  /** With `clones: 'refuse'`, whether another machine with the device id is connected to another node. */
  private isCloneElsewhere(deviceId: string, attempt: Attempt | undefined): false | Promise<boolean> {
    if (attempt === undefined || !this.node.decisions.refusesClonesOf(deviceId)) return false;
    return this.backplane.presenceOf(deviceId).then(
      (entry) => entry?.state === 'online' && isOtherProcess(entry.attempt, attempt),
      // An unavailable backplane does not prevent the upgrade: the other node will reject this connection.
      () => false,
    );
  }

  /** Handles an unexpected error: the peer may retry. */
  private abort(peer: Duplex | ServerResponse, error: unknown): void {
    this.limited.error('An upgrade failed', error);
    peer.destroy();
  }

  private refuse(
    request: UpgradeRequest,
    socket: Duplex,
    status: number,
    headers: Parameters<typeof reply>[2],
  ): void {
    this.reportRejection(request, status);
    reply(socket, status, headers);
  }

  /** @param status undefined if the peer disconnected before the answer. */
  private reportRejection(request: UpgradeRequest, status: number | undefined): void {
    const { deviceId = null, remoteAddress = '' } = request;
    this.telemetry.onUpgrade(deviceId, remoteAddress, status, presentedTypeOf(request));
  }

  private open(
    request: UpgradeRequest,
    socket: Duplex,
    head: Buffer,
    { device: { id, remoteAddress, claims, endpoint }, grant }: Authenticated,
  ): void {
    const { askedAt, attempt } = request.arrival ?? { askedAt: performance.now(), attempt: undefined };
    // One object literal: on Node 20 a spread would give each device its own hidden class.
    const device: ConnectedDevice = { id, remoteAddress, claims, endpoint, since: Date.now(), attempt };
    this.node.decisions.replaceBy(device);
    // Only for devices that name their attempt: an Elixir device must receive the same 101, byte for byte.
    const protocol = speaksProtocol2(request.headers[PROTOCOL_HEADER]) ? 2 : 1;
    socket.write(acceptHandshake(request, attempt && this.limits, protocol));
    const connection = new Connection(device, socket, this, grant, askedAt, protocol);
    this.node.add(connection);
    this.backplane.opened(device);
    // An observer of the replaced connection may have revoked the device before this connection was registered.
    if (this.revocations.wasRevokedMeanwhile(id, grant.generation)) connection.end('revoked');
    this.telemetry.onUpgrade(id, remoteAddress, 101, presentedTypeOf(request));
    this.telemetry.onConnected(connection);
    this.endpoints.onChange({ type: 'connected', device });
    this.toDevices.onConnected(id, connection);
    connection.start(head);
  }

  // --- For connections --------------------------------------------------------------

  /** @internal */
  tokenFrame({ id, claims }: ConnectedDevice, grant: Grant): Buffer {
    return binaryFrame(encodeTokenMessage(this.tokens.issue(id, claims, grant)));
  }

  /** @internal */
  onReceived(device: ConnectedDevice, message: Term | Uint8Array, delivery?: DeliveryInfo): void {
    this.endpoints.onMessage(device, message, delivery);
  }

  /** @internal */
  onEnded(connection: Connection, cause: DisconnectCause): void {
    this.node.remove(connection);
    this.toDevices.onEnded(connection.device.id, connection);
    this.leftovers.add(connection.device.id, connection);
    const other = this.node.held(connection.device.id);
    if (other) this.backplane.opened(other);
    else this.backplane.closed(connection.device, cause);
    this.telemetry.onDisconnected(connection, cause);
    this.endpoints.onChange({ type: 'disconnected', device: connection.device, cause });
  }

  /** Reports to `@OnSocketError` and the log. Never throws. @internal */
  report(error: SocketError): void {
    this.telemetry.onError(error);
    const who = error.deviceId === null ? 'a device' : `device ${JSON.stringify(error.deviceId)}`;
    const line = `${who}: ${error.type}${error.info && `: ${error.info}`}`;
    if (isRefusal(error)) this.strangers.warn(line);
    else if (error.type === 'handler_failed' || error.type === 'upgrade_failed')
      this.limited.error(line, error.error);
    else this.limited.warn(line);
    for (const handler of this.router.errors) {
      // It cannot reply, but may return a promise or a stream.
      const runner = new HandlerRunner({
        send: () => undefined,
        stop: () => undefined,
        drained: () => undefined,
        onFailure: (failure) => this.limited.error(`@OnSocketError ${handler.name} failed`, failure),
      });
      void runner.run(() => handler.call(error, { id: error.deviceId }));
    }
  }

  private tick(): void {
    const now = performance.now();
    const wallNow = Date.now();
    for (const connection of [...this.node.connections(), ...this.leftovers.all()])
      connection.tick(now, wallNow);
  }
}

/** An overloaded authenticator throws an HttpException, and unauthenticated clients can overload it. */
function isRefusal({ type, error }: SocketError): boolean {
  return REFUSALS.has(type) || (type === 'upgrade_failed' && error instanceof HttpException);
}

/** The default store is not a provider of the app. */
function storeOf(moduleRef: ModuleRef, given: ResolvedOptions['revocations']): RevocationStore {
  return given === MemoryRevocations
    ? new MemoryRevocations()
    : providerOf(moduleRef, given, 'revocations', ['revoke', 'revokedAt']);
}

/** How messages of devices are decoded. */
function decodingOf({ maxFrameBytes, maxElements, compressedTerms }: ResolvedOptions): DecodeOptions {
  const maxBytes = maxFrameBytes;
  // The decoder has the same default.
  if (compressedTerms === true) return { maxBytes, maxElements };
  return { maxBytes, maxElements, compressed: compressedTerms };
}
