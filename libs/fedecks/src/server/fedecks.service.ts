import { inspect } from 'node:util';
import { Injectable } from '@nestjs/common';
import { type Observable } from 'rxjs';
import { messageOf } from '../faults/index.js';
import { type Contract, type EventsOf, type MessageToSend } from '../wire/internal.js';
import { type PushResult } from './backplane.js';
import { DeviceDeliveries } from './deliveries/device-deliveries.js';
import { type ConnectedDevice } from './device.js';
import { Downstream, type DownstreamMessage } from './downstream.js';
import { type ConnectionChange, Endpoints, type LocalEndpoint, type UpstreamMessage } from './endpoints.js';
import { checkDeviceId, FedecksEndpoint } from './fedecks-endpoint.js';
import { Presence } from './presence.js';

/** The health of the links to the other nodes. If one is degraded, the reason by the `path` of its endpoint. */
export type FedecksHealth =
  | { readonly status: 'up' }
  | { readonly status: 'degraded'; readonly reasons: Readonly<Record<string, string>> };

/**
 * Pushes to devices and observes them, on all endpoints of the app, or on one with {@link Fedecks.endpoint}. With a
 * {@link Contract}, `Fedecks<Greenhouse>`, the compiler allows only its events.
 */
@Injectable()
export class Fedecks<C extends Contract = Contract> extends FedecksEndpoint<C> {
  /**
   * Pushes every message it receives. Logs failures, and reports them to `@OnSocketError` as `undelivered`. Several
   * sources may be piped into it: it stays open when one of them completes or fails.
   */
  readonly downstream: Downstream<C>;
  /**
   * Every message of every device, before its handler runs: a delivery, each time it is handled. Costs nothing without an
   * observer. Errors of an observer are logged, and it stays subscribed; a stream that merges this one must handle its own errors.
   */
  readonly messages$: Observable<UpstreamMessage>;
  /** Every connect and disconnect. Observers may throw, as with `messages$`. */
  readonly connections$: Observable<ConnectionChange>;

  private readonly byPath = new Map<string, FedecksEndpoint<C>>();
  private hasWarnedOfPath = false;

  /** @internal */
  constructor(private readonly endpoints: Endpoints) {
    super(
      () => endpoints.all,
      new Presence(
        (path) => (path === undefined ? endpoints.all : [endpoints.at(path)]),
        endpoints.presenceChanges$,
      ),
      new DeviceDeliveries(() => endpoints.all, endpoints.deliveryChangesAt()),
      endpoints.logFailureOf('An observer of stream()'),
    );
    this.messages$ = endpoints.messages$;
    this.connections$ = endpoints.connections$;
    this.downstream = new Downstream<C>(endpoints.logFailureOf('A source of downstream'));
    this.downstream.subscribe((message) => void this.pushDownstream(message));
  }

  /** Keeps the token secrets out of logs that serialize this object. @internal */
  toJSON(): { readonly endpoints: readonly string[] } {
    return { endpoints: this.endpoints.all.map(({ options }) => options.path) };
  }

  /** As {@link toJSON}, for `console.log`. @internal */
  [inspect.custom](): string {
    return `Fedecks ${inspect(this.toJSON())}`;
  }

  /**
   * The devices of one endpoint.
   * @param path as its `path` option. The app does not start if it has no such endpoint.
   * @throws {RangeError} when the app has started, and has no such endpoint.
   */
  endpoint<Of extends Contract = C>(path: string): FedecksEndpoint<Of> {
    this.endpoints.expect(path);
    // Only the compiler knows the contract.
    return this.endpointAt(path) as FedecksEndpoint;
  }

  /** The health of the links to the other nodes; `up` without a `backplane`. */
  health(): FedecksHealth {
    const reasons: Record<string, string> = {};
    for (const { options, backplane } of this.endpoints.all) {
      if (backplane.health.status === 'degraded') reasons[options.path] = backplane.health.reason;
    }
    return Object.keys(reasons).length === 0 ? { status: 'up' } : { status: 'degraded', reasons };
  }

  // --- With the path of an endpoint as the last argument, which goes after 0.1 ----------------------------------

  /**
   * As {@link FedecksEndpoint.push}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).push(deviceId, message)`.
   */
  override async push<Message>(
    deviceId: string,
    message: MessageToSend<EventsOf<C, 'down'>, Message>,
    path?: string,
  ): Promise<PushResult> {
    return path === undefined
      ? super.push(deviceId, message)
      : this.endpointWithWarning(path).push(deviceId, message);
  }

  /**
   * As {@link FedecksEndpoint.broadcast}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).broadcast(message)`.
   */
  override async broadcast<Message>(
    message: MessageToSend<EventsOf<C, 'down'>, Message>,
    path?: string,
  ): Promise<void> {
    return path === undefined ? super.broadcast(message) : this.endpointWithWarning(path).broadcast(message);
  }

  /**
   * As {@link FedecksEndpoint.joinGroup}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).joinGroup(deviceId, name)`.
   */
  override joinGroup(deviceId: string, name: string, path?: string): boolean {
    return path === undefined
      ? super.joinGroup(deviceId, name)
      : this.endpointWithWarning(path).joinGroup(deviceId, name);
  }

  /**
   * As {@link FedecksEndpoint.leaveGroup}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).leaveGroup(deviceId, name)`.
   */
  override leaveGroup(deviceId: string, name: string, path?: string): boolean {
    return path === undefined
      ? super.leaveGroup(deviceId, name)
      : this.endpointWithWarning(path).leaveGroup(deviceId, name);
  }

  /**
   * As {@link FedecksEndpoint.pushToGroup}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).pushToGroup(name, message)`.
   */
  override async pushToGroup<Message>(
    name: string,
    message: MessageToSend<EventsOf<C, 'down'>, Message>,
    path?: string,
  ): Promise<void> {
    return path === undefined
      ? super.pushToGroup(name, message)
      : this.endpointWithWarning(path).pushToGroup(name, message);
  }

  /**
   * As {@link FedecksEndpoint.devices}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).devices()`.
   */
  override devices(path?: string): ConnectedDevice[] {
    return path === undefined ? super.devices() : this.endpointWithWarning(path).devices();
  }

  /**
   * As {@link FedecksEndpoint.disconnect}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).disconnect(deviceId)`.
   */
  override async disconnect(deviceId: string, path?: string): Promise<boolean> {
    return path === undefined
      ? super.disconnect(deviceId)
      : this.endpointWithWarning(path).disconnect(deviceId);
  }

  /**
   * As {@link FedecksEndpoint.revoke}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).revoke(deviceId)`.
   */
  override async revoke(deviceId: string, path?: string): Promise<void> {
    return path === undefined ? super.revoke(deviceId) : this.endpointWithWarning(path).revoke(deviceId);
  }

  private endpointWithWarning(path: string): FedecksEndpoint<C> {
    if (!this.hasWarnedOfPath) {
      const advice =
        'The path argument of methods of Fedecks is deprecated: use fedecks.endpoint(path) instead.';
      process.emitWarning(advice, { type: 'DeprecationWarning', code: 'FEDECKS_PATH' });
    }
    this.hasWarnedOfPath = true;
    this.endpoints.at(path);
    return this.endpointAt(path);
  }

  private endpointAt(path: string): FedecksEndpoint<C> {
    const known = this.byPath.get(path);
    if (known) return known;
    const targets = (): [LocalEndpoint] => [this.endpoints.at(path)];
    const endpoint = new FedecksEndpoint<C>(
      targets,
      new Presence(targets, this.endpoints.presenceChangesAt(path)),
      new DeviceDeliveries(targets, this.endpoints.deliveryChangesAt(path)),
      this.endpoints.logFailureOf('An observer of stream()'),
    );
    this.byPath.set(path, endpoint);
    return endpoint;
  }

  // --- Downstream ------------------------------------------------------------------------------------------

  /** Pushes a message from `downstream`. Never rejects. */
  private async pushDownstream(downstream: DownstreamMessage<unknown>): Promise<void> {
    try {
      const { deviceId, message, endpoint } = downstream;
      checkDeviceId('downstream.next({ deviceId, ... })', deviceId);
      if (endpoint !== undefined) this.endpoints.at(endpoint);
      // The encoder checks the message.
      const where = (endpoint === undefined ? this : this.endpointAt(endpoint)) as unknown as FedecksEndpoint;
      if ((await where.push<unknown>(deviceId, message)) === 'offline')
        this.undelivered(downstream, 'offline');
    } catch (error) {
      this.undelivered(downstream, messageOf(error), error);
    }
  }

  private undelivered(downstream: DownstreamMessage<unknown>, info: string, error?: unknown): void {
    const { deviceId, endpoint } = addresseeOf(downstream);
    for (const each of this.endpoints.all) {
      if (endpoint !== undefined && each.options.path !== endpoint) continue;
      each.report({ deviceId, type: 'undelivered', info, ...(error !== undefined && { error }) });
    }
  }
}

/** Untyped code may put anything into `downstream`. */
function addresseeOf(downstream: DownstreamMessage<unknown>): {
  deviceId: string | null;
  endpoint?: string | undefined;
} {
  try {
    const { deviceId, endpoint } = downstream as Partial<DownstreamMessage<unknown>>;
    return { deviceId: typeof deviceId === 'string' ? deviceId : null, endpoint };
  } catch {
    return { deviceId: null };
  }
}
