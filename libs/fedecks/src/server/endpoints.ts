import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { defer, filter, from, merge, mergeMap, type Observable, Subject } from 'rxjs';
import { GuardedObservable } from '../faults/index.js';
import { type FoundHandler, type HandlerExplorer, InvalidHandlerError } from '../handlers/index.js';
import { type DeliveryInfo } from '../results/index.js';
import { DEFAULT_PATH, type Term } from '../wire/internal.js';
import { type Backplane } from './backplane.js';
import { type DeviceDelivery } from './deliveries/device-delivery.js';
import { type ToDevices } from './deliveries/to-devices.js';
import { type ConnectedDevice, type DisconnectCause, type SocketError } from './device.js';
import { LimitedLog } from './limited-log.js';
import { type LocalNode } from './local-node.js';
import { type PresenceEntry } from './presence.js';
import { type Revocations } from './revocations.js';
import { type Telemetry } from './telemetry.js';

/** A message from a device: a term, or the bytes of a raw message. */
export interface UpstreamMessage {
  /** The sender. */
  readonly device: ConnectedDevice;
  /** The message. */
  readonly message: Term | Uint8Array;
  /** Which delivery it is, and when the device put it in; undefined for a message that was sent. */
  readonly delivery?: Omit<DeliveryInfo, 'commit'> | undefined;
}

/** A connect or a disconnect. */
export type ConnectionChange =
  | { readonly type: 'connected'; readonly device: ConnectedDevice }
  | { readonly type: 'disconnected'; readonly device: ConnectedDevice; readonly cause: DisconnectCause };

/** An endpoint of this process. */
export interface LocalEndpoint {
  readonly options: { readonly path: string; readonly duplicates: 'newest' | 'oldest' | 'allow' };
  readonly node: LocalNode;
  readonly backplane: Backplane;
  readonly revocations: Pick<Revocations, 'revoke'>;
  readonly toDevices: ToDevices;
  readonly telemetry: Pick<Telemetry, 'isCounting' | 'onPushed' | 'onRequestEnded'>;
  report(error: SocketError): void;
}

/** The endpoints of this process, and the events of all of them. */
@Injectable()
export class Endpoints implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly messages$: Observable<UpstreamMessage>;
  readonly connections$: Observable<ConnectionChange>;
  /** Includes endpoints that are added after the subscription. */
  readonly presenceChanges$: Observable<PresenceEntry>;
  private readonly log = new LimitedLog(new Logger('Fedecks'));
  private readonly messages = new Subject<UpstreamMessage>();
  private readonly connections = new Subject<ConnectionChange>();
  private readonly endpoints: LocalEndpoint[] = [];
  private readonly added = new Subject<LocalEndpoint>();
  /** Paths that the application used before all endpoints were known; undefined afterwards. */
  private pathsToCheck: Set<string> | undefined = new Set();
  private handlers: FoundHandler[] | undefined;

  constructor() {
    this.messages$ = new GuardedObservable(this.messages, this.logFailureOf('An observer of messages$'));
    this.connections$ = new GuardedObservable(
      this.connections,
      this.logFailureOf('An observer of connections$'),
    );
    this.presenceChanges$ = this.presenceChangesAt();
  }

  /** @param path of one endpoint, or all. */
  presenceChangesAt(path?: string): Observable<PresenceEntry> {
    return this.merged(path, ({ backplane }) => backplane.presenceChanges$, 'presence.changes$');
  }

  /** @param path of one endpoint, or all. */
  deliveryChangesAt(path?: string): Observable<DeviceDelivery> {
    return this.merged(path, ({ toDevices }) => toDevices.changes$, 'deliveries.changes$');
  }

  private merged<T>(
    path: string | undefined,
    of: (endpoint: LocalEndpoint) => Observable<T>,
    name: string,
  ): Observable<T> {
    const endpoints = defer(() => merge(from([...this.endpoints]), this.added)).pipe(
      filter(({ options }) => path === undefined || options.path === path),
    );
    return new GuardedObservable(endpoints.pipe(mergeMap(of)), this.logFailureOf(`An observer of ${name}`));
  }

  get all(): readonly LocalEndpoint[] {
    return this.endpoints;
  }

  add(endpoint: LocalEndpoint): void {
    this.endpoints.push(endpoint);
    this.added.next(endpoint);
  }

  /** @throws {RangeError} when no endpoint has this path. */
  at(path: string): LocalEndpoint {
    const found = this.endpoints.find(({ options }) => options.path === path);
    if (found) return found;
    const paths = this.endpoints.map(({ options }) => options.path).join(', ');
    const reason = paths === '' ? ': endpoints exist only after the app has started' : ` (have: ${paths})`;
    throw new RangeError(`Endpoint '${path}' does not exist${reason}.`);
  }

  /**
   * Checks that an endpoint has this path. While the app starts, the check waits until all endpoints are known.
   * @throws {RangeError}
   */
  expect(path: string): void {
    if (this.pathsToCheck) this.pathsToCheck.add(path);
    else this.at(path);
  }

  onApplicationBootstrap(): void {
    const paths = this.pathsToCheck ?? [];
    this.pathsToCheck = undefined;
    for (const path of paths) this.at(path);
  }

  /**
   * The handlers of one endpoint. A class without @DeviceEndpoint serves the only endpoint, or the default one.
   * @throws {InvalidHandlerError} when a class names an endpoint that does not exist, or must name one and does not.
   */
  handlersOf(path: string, explorer: HandlerExplorer): FoundHandler[] {
    const paths = this.endpoints.map(({ options }) => options.path);
    const unchosen = paths.length === 1 ? paths : paths.filter((each) => each === DEFAULT_PATH);
    this.handlers ??= explorer.explore();
    return this.handlers.filter(({ name, endpoints: chosen }) => {
      const endpoints = chosen.length > 0 ? chosen : unchosen;
      const unknown = endpoints.find((each) => !paths.includes(each));
      if (endpoints.length > 0 && unknown === undefined) return endpoints.includes(path);
      const problem =
        unknown === undefined
          ? `${name} does not name its endpoint.`
          : `${name} serves endpoint '${unknown}', which does not exist.`;
      throw new InvalidHandlerError(
        `${problem} Add @DeviceEndpoint() to its class, with one of: ${paths.map((each) => `'${each}'`).join(', ')}.`,
      );
    });
  }

  onMessage(device: ConnectedDevice, message: Term | Uint8Array, delivery?: DeliveryInfo): void {
    if (this.messages.observed) this.observe(() => this.messages.next({ device, message, delivery }));
  }

  onChange(change: ConnectionChange): void {
    if (this.connections.observed) this.observe(() => this.connections.next(change));
  }

  onApplicationShutdown(): void {
    this.observe(() => this.messages.complete());
    this.observe(() => this.connections.complete());
  }

  /** A handler that logs errors of application code. `what` names the code. */
  logFailureOf(what: string): (error: unknown) => void {
    return (error) => this.log.error(`${what} failed`, error);
  }

  /** Direct observers of `messages$` are guarded already; this catches errors of other libraries' subscribers. */
  private observe(emit: () => void): void {
    try {
      emit();
    } catch (error) {
      this.log.error('An observer failed', error);
    }
  }
}
