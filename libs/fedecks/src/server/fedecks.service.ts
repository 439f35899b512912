import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { type Observable, Subject } from 'rxjs';
import { type FoundHandler, type HandlerExplorer, InvalidHandlerError } from '../handlers/index.js';
import { CLOSE, DEFAULT_PATH, type Term } from '../wire/index.js';
import { type Connection, encodeMessage } from './connection.js';
import { type ConnectedDevice, type DisconnectCause, type SocketError } from './device.js';
import { type Registry } from './registry.js';
import { type Revocations } from './revocations.js';

/** A message for a device. */
export interface DownstreamMessage {
  /** Whom it is for. */
  readonly deviceId: string;
  /** What it is. */
  readonly message: Term;
  /** The `path` of one endpoint, in an app with several: without it, all of them are meant. */
  readonly endpoint?: string;
}

/** A message a device has sent: a term, or the bytes of a raw message. */
export interface UpstreamMessage {
  /** Whom it is from. */
  readonly device: ConnectedDevice;
  /** What it is. */
  readonly message: Term | Uint8Array;
}

/** A connection that has come or gone. */
export type ConnectionChange =
  | { readonly type: 'connected'; readonly device: ConnectedDevice }
  | { readonly type: 'disconnected'; readonly device: ConnectedDevice; readonly cause: DisconnectCause };

/**
 * What became of a push: `sent` when it was written to the device's socket, which is no promise that the device
 * has read it; `offline` when the device was not connected, or went before it was written.
 */
export type PushResult = 'sent' | 'offline';

/** What the service needs of an endpoint of this process. */
interface LocalEndpoint {
  readonly options: { readonly path: string };
  readonly registry: Registry;
  readonly revocations: Pick<Revocations, 'revoke'>;
  report(error: SocketError): void;
}

/** The cloud's side of the conversation: pushes to devices, and tells what they do. */
@Injectable()
export class Fedecks implements OnApplicationShutdown {
  /** What is put in here is pushed. What cannot be is logged, and reported to `@OnSocketError` as `undelivered`. */
  readonly downstream = new Subject<DownstreamMessage>();
  /** Every message of every device, before its handler. Costs nothing while nobody listens. */
  readonly messages$: Observable<UpstreamMessage>;
  /** Every connect and disconnect. */
  readonly connections$: Observable<ConnectionChange>;

  private readonly messages = new Subject<UpstreamMessage>();
  private readonly connections = new Subject<ConnectionChange>();
  private readonly gateways: LocalEndpoint[] = [];
  private readonly logger = new Logger(Fedecks.name);
  private handlers: FoundHandler[] | undefined;

  constructor() {
    this.messages$ = this.messages.asObservable();
    this.connections$ = this.connections.asObservable();
    this.downstream.subscribe((message) => void this.deliver(message));
  }

  /**
   * Sends a message to a device.
   * @param endpoint the `path` of one endpoint; by default the device is looked for on all of them.
   * @throws {TermEncodeError} when the message holds something that is no term.
   * @throws {ReservedMessageError} when the device would take it for a token.
   */
  async push(deviceId: string, message: Term, endpoint?: string): Promise<PushResult> {
    const bytes = encodeMessage(message);
    const written = await Promise.all(this.of(deviceId, endpoint).map(async (each) => each.write(bytes)));
    return written.includes(true) ? 'sent' : 'offline';
  }

  /** The devices connected to this process. */
  devices(endpoint?: string): ConnectedDevice[] {
    return this.at(endpoint).flatMap(({ registry }) => Array.from(registry.all(), ({ device }) => device));
  }

  /** Closes the connections of a device with 1000, and tells whether there was any. The device will come back. */
  async disconnect(deviceId: string, endpoint?: string): Promise<boolean> {
    const connections = this.of(deviceId, endpoint);
    for (const connection of connections) connection.end('disconnected', CLOSE.normal);
    return connections.length > 0;
  }

  /**
   * Takes back what a device was given: tokens issued until now stop working, and its connections are closed
   * with 4150. It comes back only by logging in again. Resolves when the store has kept it.
   * @throws what the `revocations` store throws; its connections are closed all the same.
   */
  async revoke(deviceId: string, endpoint?: string): Promise<void> {
    const kept = this.at(endpoint).map(({ revocations }) => revocations.revoke(deviceId));
    // At once: until its connection ends, a device is given tokens that are not revoked.
    for (const connection of this.of(deviceId, endpoint)) connection.end('revoked', CLOSE.revoked, 'revoked');
    await Promise.all(kept);
  }

  private of(deviceId: string, endpoint: string | undefined): Connection[] {
    return this.at(endpoint).flatMap(({ registry }) => [...registry.of(deviceId)]);
  }

  private at(endpoint: string | undefined): LocalEndpoint[] {
    if (endpoint === undefined) return this.gateways;
    const found = this.gateways.filter(({ options }) => options.path === endpoint);
    if (found.length === 0) {
      const paths = this.gateways.map(({ options }) => options.path).join(', ');
      throw new RangeError(`There is no endpoint '${endpoint}': FedecksModule.forRoot was given ${paths}.`);
    }
    return found;
  }

  private async deliver({ deviceId, message, endpoint }: DownstreamMessage): Promise<void> {
    const undelivered = (info: string, error?: unknown): void => {
      for (const gateway of this.gateways) {
        if (endpoint !== undefined && gateway.options.path !== endpoint) continue;
        gateway.report({ deviceId, type: 'undelivered', info, ...(error !== undefined && { error }) });
      }
    };
    try {
      if ((await this.push(deviceId, message, endpoint)) === 'offline') undelivered('offline');
    } catch (error) {
      undelivered(error instanceof Error ? error.message : '', error);
    }
  }

  // --- For the gateways ------------------------------------------------------------------------------------

  /** @internal */
  register(gateway: LocalEndpoint): void {
    this.gateways.push(gateway);
  }

  /**
   * The handlers of one endpoint. A class that has chosen none serves the only one there is, or the default one.
   * @internal
   * @throws {InvalidHandlerError} when a class has chosen one that does not exist, or must choose and has not.
   */
  handlersOf(path: string, explorer: HandlerExplorer): FoundHandler[] {
    const paths = this.gateways.map(({ options }) => options.path);
    const undecided = paths.length === 1 ? paths[0] : paths.find((each) => each === DEFAULT_PATH);
    this.handlers ??= explorer.explore();
    return this.handlers.filter(({ name, endpoints = undecided === undefined ? [] : [undecided] }) => {
      const unknown = endpoints.find((each) => !paths.includes(each));
      if (endpoints.length > 0 && unknown === undefined) return endpoints.includes(path);
      const problem =
        unknown === undefined
          ? `${name} does not say which endpoint it serves.`
          : `${name} serves endpoint '${unknown}', which there is not.`;
      throw new InvalidHandlerError(
        `${problem} Put @DeviceEndpoint() on its class, with one of: ${paths.map((each) => `'${each}'`).join(', ')}.`,
      );
    });
  }

  /** @internal */
  received(device: ConnectedDevice, message: Term | Uint8Array): void {
    if (!this.messages.observed) return;
    this.observe(() => this.messages.next({ device, message }));
  }

  /** @internal */
  changed(change: ConnectionChange): void {
    this.observe(() => this.connections.next(change));
  }

  /** @internal */
  onApplicationShutdown(): void {
    this.messages.complete();
    this.connections.complete();
  }

  /** rxjs rethrows what an observer throws on a timer, out of everybody's reach; what throws here is the Subject itself. */
  private observe(next: () => void): void {
    try {
      next();
    } catch (error) {
      this.logger.error('An observer failed', error);
    }
  }
}
