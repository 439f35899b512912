import { inspect } from 'node:util';
import { Injectable } from '@nestjs/common';
import { type Observable } from 'rxjs';
import { messageOf } from '../faults/index.js';
import { type Contract, type EventsOf, type MessageToSend } from '../wire/internal.js';
import { type PushResult } from './backplane.js';
import { type ConnectedDevice } from './device.js';
import { Downstream, type DownstreamMessage } from './downstream.js';
import { type ConnectionChange, Endpoints, type LocalEndpoint, type UpstreamMessage } from './endpoints.js';
import { checkDeviceId, FedecksEndpoint } from './fedecks-endpoint.js';
import { Presence } from './presence.js';

/** How the links to the other nodes do. Where one is degraded, the reason by the `path` of its endpoint. */
export type FedecksHealth =
  | { readonly status: 'up' }
  | { readonly status: 'degraded'; readonly reasons: Readonly<Record<string, string>> };

/**
 * The cloud's side of the conversation: pushes to devices, and tells what they do, on all endpoints of the app, or with
 * {@link Fedecks.endpoint} on one. With a {@link Contract}, `Fedecks<Greenhouse>`, the compiler lets only its events be
 * sent.
 */
@Injectable()
export class Fedecks<C extends Contract = Contract> extends FedecksEndpoint<C> {
  /**
   * Pushes every message it receives. Failures are logged, and reported to `@OnSocketError` as `undelivered`.
   * Sources may be piped into it. One that completes or fails leaves it open for the others; a failure is logged.
   */
  readonly downstream: Downstream<C>;
  /**
   * Every message of every device, before its handler. Costs nothing without an observer. What an observer throws or
   * rejects with is logged, and the observer goes on; a stream it is merged into (`merge`, `concat`) must see to its own.
   */
  readonly messages$: Observable<UpstreamMessage>;
  /** Every connect and disconnect. Observers may fail, as with `messages$`. */
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
    );
    this.messages$ = endpoints.messages$;
    this.connections$ = endpoints.connections$;
    this.downstream = new Downstream<C>(endpoints.logged('A source of downstream'));
    this.downstream.subscribe((message) => void this.deliver(message));
  }

  /** What a log makes of it by itself: inside there are the secrets of the tokens. @internal */
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
    // A contract is known to the compiler only.
    return this.only(path) as FedecksEndpoint;
  }

  /** How the links to the other nodes do. Without a `backplane` there are none, and all is well. */
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
    return path === undefined ? super.push(deviceId, message) : this.named(path).push(deviceId, message);
  }

  /**
   * As {@link FedecksEndpoint.broadcast}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).broadcast(message)`.
   */
  override async broadcast<Message>(
    message: MessageToSend<EventsOf<C, 'down'>, Message>,
    path?: string,
  ): Promise<void> {
    return path === undefined ? super.broadcast(message) : this.named(path).broadcast(message);
  }

  /**
   * As {@link FedecksEndpoint.joinGroup}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).joinGroup(deviceId, name)`.
   */
  override joinGroup(deviceId: string, name: string, path?: string): boolean {
    return path === undefined ? super.joinGroup(deviceId, name) : this.named(path).joinGroup(deviceId, name);
  }

  /**
   * As {@link FedecksEndpoint.leaveGroup}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).leaveGroup(deviceId, name)`.
   */
  override leaveGroup(deviceId: string, name: string, path?: string): boolean {
    return path === undefined
      ? super.leaveGroup(deviceId, name)
      : this.named(path).leaveGroup(deviceId, name);
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
      : this.named(path).pushToGroup(name, message);
  }

  /**
   * As {@link FedecksEndpoint.devices}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).devices()`.
   */
  override devices(path?: string): ConnectedDevice[] {
    return path === undefined ? super.devices() : this.named(path).devices();
  }

  /**
   * As {@link FedecksEndpoint.disconnect}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).disconnect(deviceId)`.
   */
  override async disconnect(deviceId: string, path?: string): Promise<boolean> {
    return path === undefined ? super.disconnect(deviceId) : this.named(path).disconnect(deviceId);
  }

  /**
   * As {@link FedecksEndpoint.revoke}, on all endpoints.
   * @param path deprecated: use `fedecks.endpoint(path).revoke(deviceId)`.
   */
  override async revoke(deviceId: string, path?: string): Promise<void> {
    return path === undefined ? super.revoke(deviceId) : this.named(path).revoke(deviceId);
  }

  private named(path: string): FedecksEndpoint<C> {
    if (!this.hasWarnedOfPath) {
      const advice =
        'Methods of Fedecks that take the path of an endpoint: use fedecks.endpoint(path) instead.';
      process.emitWarning(advice, { type: 'DeprecationWarning', code: 'FEDECKS_PATH' });
    }
    this.hasWarnedOfPath = true;
    this.endpoints.at(path);
    return this.only(path);
  }

  private only(path: string): FedecksEndpoint<C> {
    const known = this.byPath.get(path);
    if (known) return known;
    const targets = (): [LocalEndpoint] => [this.endpoints.at(path)];
    const only = new FedecksEndpoint<C>(
      targets,
      new Presence(targets, this.endpoints.presenceChangesAt(path)),
    );
    this.byPath.set(path, only);
    return only;
  }

  // --- Downstream ------------------------------------------------------------------------------------------

  /** Pushes what was put into `downstream`. Never rejects. */
  private async deliver(downstream: DownstreamMessage<unknown>): Promise<void> {
    try {
      const { deviceId, message, endpoint } = downstream;
      checkDeviceId('downstream.next({ deviceId, ... })', deviceId);
      if (endpoint !== undefined) this.endpoints.at(endpoint);
      // What is put in here is looked at when it is encoded.
      const where = (endpoint === undefined ? this : this.only(endpoint)) as unknown as FedecksEndpoint;
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

/** What is put into `downstream` need not be what its type says. */
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
