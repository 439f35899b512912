import { inspect } from 'node:util';
import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { type Observable, Subject } from 'rxjs';
import { GuardedObservable, messageOf } from '../faults/index.js';
import { type FoundHandler, type HandlerExplorer, InvalidHandlerError } from '../handlers/index.js';
import {
  CLOSE,
  type Contract,
  DEFAULT_PATH,
  type EventsOf,
  type MessageToSend,
  type Term,
} from '../wire/index.js';
import { type Backplane, type PushResult } from './backplane.js';
import { type Connection } from './connection.js';
import { type ConnectedDevice, type DisconnectCause, type SocketError } from './device.js';
import { Downstream, type DownstreamMessage } from './downstream.js';
import { checkGroupName, type Groups } from './groups.js';
import { LimitedLog } from './limited-log.js';
import { type LocalNode } from './local-node.js';
import { encodeMessage } from './message.js';
import { Presence } from './presence.js';
import { type Registry } from './registry.js';
import { type Revocations } from './revocations.js';
import { payloadOf } from './websocket/frame-writer.js';

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

/** How the links to the other nodes do. Where one is degraded, the reason by the `path` of its endpoint. */
export type FedecksHealth =
  | { readonly status: 'up' }
  | { readonly status: 'degraded'; readonly reasons: Readonly<Record<string, string>> };

/** What the service needs of an endpoint of this process. */
interface LocalEndpoint {
  readonly options: { readonly path: string; readonly duplicates: 'newest' | 'oldest' | 'allow' };
  readonly registry: Registry;
  readonly groups: Groups;
  readonly node: LocalNode;
  readonly backplane: Backplane;
  readonly revocations: Pick<Revocations, 'revoke'>;
  report(error: SocketError): void;
}

/**
 * The cloud's side of the conversation: pushes to devices, and tells what they do. With a {@link Contract},
 * `Fedecks<Greenhouse>`, the compiler lets only its events be sent.
 */
@Injectable()
export class Fedecks<C extends Contract = Contract> implements OnApplicationShutdown {
  /** First, since what follows fails into it. */
  private readonly log = new LimitedLog(new Logger(Fedecks.name));

  /**
   * What is put in here is pushed. What cannot be is logged, and reported to `@OnSocketError` as `undelivered`.
   * Sources may be piped into it. One that completes or fails leaves it open for the others; a failure is logged.
   */
  readonly downstream: Downstream<C> = new Downstream<C>(this.logged('A source of downstream'));
  /**
   * Every message of every device, before its handler. Costs nothing while nobody listens. What an observer throws or
   * rejects with is logged, and the observer goes on; a stream it is merged into (`merge`, `concat`) must see to its own.
   */
  readonly messages$: Observable<UpstreamMessage>;
  /** Every connect and disconnect. Observers may fail, as with `messages$`. */
  readonly connections$: Observable<ConnectionChange>;
  /** Who is connected, to whichever node, and who was. */
  readonly presence = new Presence(
    (endpoint) => this.at(endpoint),
    this.logged('An observer of presence.changes$'),
  );

  private readonly messages = new Subject<UpstreamMessage>();
  private readonly connections = new Subject<ConnectionChange>();
  private readonly gateways: LocalEndpoint[] = [];
  private handlers: FoundHandler[] | undefined;

  constructor() {
    this.messages$ = new GuardedObservable(this.messages, this.logged('An observer of messages$'));
    this.connections$ = new GuardedObservable(this.connections, this.logged('An observer of connections$'));
    this.downstream.subscribe((message) => void this.deliver(message));
  }

  /** What a log makes of it by itself: inside there are the secrets of the tokens. @internal */
  toJSON(): { readonly endpoints: readonly string[] } {
    return { endpoints: this.gateways.map(({ options }) => options.path) };
  }

  /** As {@link toJSON}, for `console.log`. @internal */
  [inspect.custom](): string {
    return `Fedecks ${inspect(this.toJSON())}`;
  }

  /**
   * Sends a message to a device, whichever node holds it. `sent` says that it was written to the device's socket;
   * `offline` that it was not, and never will be.
   * @param endpoint the `path` of one endpoint; by default the device is looked for on all of them.
   * @throws {TypeError} when the device id is no string, as an `undefined` one.
   * @throws {TermEncodeError} when the message holds something that is no term.
   * @throws {ReservedMessageError} when the device would take it for a token.
   * @throws {MessageTooLargeError} when it is larger than a single message may be. Nothing was sent.
   * @throws {BackplaneError} when the other nodes could not be asked, or have not answered in time.
   */
  async push<Message>(
    deviceId: string,
    message: MessageToSend<EventsOf<C, 'down'>, Message>,
    endpoint?: string,
  ): Promise<PushResult> {
    checkDeviceId('push', deviceId);
    return this.pushAny(deviceId, message, endpoint);
  }

  /**
   * Sends a message to every device of every node. A device that goes before it is written is reported to
   * `@OnSocketError` as `undelivered`, on its node.
   * @throws what {@link push} throws; the devices of this node have it all the same.
   */
  async broadcast<Message>(
    message: MessageToSend<EventsOf<C, 'down'>, Message>,
    endpoint?: string,
  ): Promise<void> {
    await this.toMany(encodeMessage(message), endpoint);
  }

  /**
   * Makes a device that is connected to this node a member of a group for as long as its connection lasts, and
   * tells whether it is connected here. Joining twice is joining once.
   * @param name of 1 to 128 bytes.
   * @throws {RangeError} for another name, and when the device is in 64 groups.
   */
  joinGroup(deviceId: string, name: string, endpoint?: string): boolean {
    checkDeviceId('joinGroup', deviceId);
    const connections = this.at(endpoint).map(({ registry, groups }) => {
      const here = registry.of(deviceId);
      for (const connection of here) groups.join(connection, name);
      return here.length;
    });
    return connections.some((count) => count > 0);
  }

  /** Takes a device that is connected to this node out of a group, and tells whether it is connected here. */
  leaveGroup(deviceId: string, name: string, endpoint?: string): boolean {
    checkDeviceId('leaveGroup', deviceId);
    const connections = this.at(endpoint).map(({ registry, groups }) => {
      const here = registry.of(deviceId);
      for (const connection of here) groups.leave(connection, name);
      return here.length;
    });
    return connections.some((count) => count > 0);
  }

  /**
   * Sends a message to the members of a group, on whichever nodes. The rest is as with {@link broadcast}.
   * @throws {RangeError} for a name that no group can have.
   */
  async pushToGroup<Message>(
    name: string,
    message: MessageToSend<EventsOf<C, 'down'>, Message>,
    endpoint?: string,
  ): Promise<void> {
    checkGroupName(name);
    await this.toMany(encodeMessage(message), endpoint, name);
  }

  /** How the links to the other nodes do. Without a `backplane` there are none, and all is well. */
  health(): FedecksHealth {
    const reasons: Record<string, string> = {};
    for (const { options, backplane } of this.gateways) {
      if (backplane.health.status === 'degraded') reasons[options.path] = backplane.health.reason;
    }
    return Object.keys(reasons).length === 0 ? { status: 'up' } : { status: 'degraded', reasons };
  }

  /** The devices connected to this process. */
  devices(endpoint?: string): ConnectedDevice[] {
    return this.at(endpoint).flatMap(({ registry }) => Array.from(registry.all(), ({ device }) => device));
  }

  /**
   * Closes the connections of a device with 1000, on whichever node, and tells whether there was any. The device
   * will come back.
   * @throws {BackplaneError} when this node holds none, and the others could not be asked.
   */
  async disconnect(deviceId: string, endpoint?: string): Promise<boolean> {
    checkDeviceId('disconnect', deviceId);
    return anyOf(
      this.at(endpoint).map(async ({ options, node, backplane }) => {
        const here = node.disconnect(deviceId);
        if (here && options.duplicates !== 'allow') return true;
        return anyOf([here, backplane.disconnect(deviceId)]);
      }),
    );
  }

  /**
   * Takes back what a device was given: tokens issued until now stop working, and its connections are closed
   * with 4150, on whichever node. It comes back only by logging in again. Resolves when the store has kept it.
   * @throws {BackplaneError} when the backplane has not kept it: call it again, the other nodes do not know of it.
   * @throws what the `revocations` store throws; its connections are closed all the same.
   */
  async revoke(deviceId: string, endpoint?: string): Promise<void> {
    checkDeviceId('revoke', deviceId);
    const kept = this.at(endpoint).map(({ revocations }) => revocations.revoke(deviceId));
    // At once: until its connection ends, a device is given tokens that are not revoked.
    for (const connection of this.of(deviceId, endpoint)) connection.end('revoked', CLOSE.revoked, 'revoked');
    await Promise.all(kept);
  }

  private async pushAny(deviceId: string, message: unknown, endpoint?: string): Promise<PushResult> {
    const frame = encodeMessage(message);
    const sent = await anyOf(this.at(endpoint).map((gateway) => pushTo(gateway, deviceId, frame)));
    return sent ? 'sent' : 'offline';
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

  private async toMany(frame: Buffer, endpoint?: string, group?: string): Promise<void> {
    await Promise.all(
      this.at(endpoint).map(({ node, backplane }) => {
        node.writeFrameToAll(frame, group);
        return backplane.broadcast(payloadOf(frame), group);
      }),
    );
  }

  /** Pushes what was put into `downstream`. Never rejects. */
  private async deliver(downstream: DownstreamMessage<unknown>): Promise<void> {
    try {
      const { deviceId, message, endpoint } = downstream;
      checkDeviceId('downstream.next', deviceId);
      if ((await this.pushAny(deviceId, message, endpoint)) === 'offline')
        this.undelivered(downstream, 'offline');
    } catch (error) {
      this.undelivered(downstream, messageOf(error), error);
    }
  }

  private undelivered(downstream: DownstreamMessage<unknown>, info: string, error?: unknown): void {
    const { deviceId, endpoint } = addresseeOf(downstream);
    for (const gateway of this.gateways) {
      if (endpoint !== undefined && gateway.options.path !== endpoint) continue;
      gateway.report({ deviceId, type: 'undelivered', info, ...(error !== undefined && { error }) });
    }
  }

  private logged(what: string): (error: unknown) => void {
    return (error) => this.log.error(`${what} failed`, error);
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
    if (this.messages.observed) this.observe(() => this.messages.next({ device, message }));
  }

  /** @internal */
  changed(change: ConnectionChange): void {
    if (this.connections.observed) this.observe(() => this.connections.next(change));
  }

  /** @internal */
  onApplicationShutdown(): void {
    this.observe(() => this.messages.complete());
    this.observe(() => this.connections.complete());
  }

  /** Observers that subscribe to `messages$` itself are guarded; here ends what another library's subscriber throws. */
  private observe(emit: () => void): void {
    try {
      emit();
    } catch (error) {
      this.log.error('An observer failed', error);
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

/** Without types an id that is missing would be a device that is offline, and its revocation one that has succeeded. */
function checkDeviceId(method: string, deviceId: unknown): void {
  if (typeof deviceId === 'string') return;
  throw new TypeError(
    `${method}(deviceId, ...): the device id must be a string, not ${deviceId === null ? 'null' : typeof deviceId}.`,
  );
}

/** A device is written to where it is: on this node if it is here, and else by the node that holds it. */
function pushTo(
  { node, options, backplane }: LocalEndpoint,
  deviceId: string,
  frame: Buffer,
): boolean | Promise<boolean> {
  const here = node.writeFrame(deviceId, frame);
  if (here !== undefined && options.duplicates !== 'allow') return here;
  const elsewhere = backplane.push(deviceId, payloadOf(frame)).then((result) => result === 'sent');
  return here === undefined ? elsewhere : anyOf([here, elsewhere]);
}

/** Whether any says yes. If none does, and one does not know, that is thrown. */
async function anyOf(answers: readonly (boolean | Promise<boolean>)[]): Promise<boolean> {
  const [only] = answers;
  // Of one endpoint, which is most apps, a push that is written at once waits for nothing.
  if (answers.length === 1 && only !== undefined) return only;
  const settled = await Promise.allSettled(answers.map(async (answer) => answer));
  if (settled.some((each) => each.status === 'fulfilled' && each.value)) return true;
  const failed = settled.find((each) => each.status === 'rejected');
  if (failed) throw failed.reason;
  return false;
}
