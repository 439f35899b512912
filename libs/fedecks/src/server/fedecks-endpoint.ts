import { defer, type Observable, tap } from 'rxjs';
import { GuardedObservable, type OnFailure } from '../faults/index.js';
import {
  type Answered,
  type Ask,
  type AskedRequest,
  DeviceOfflineError,
  request,
  type RequestOptions,
  stream,
} from '../requests/index.js';
import {
  type Contract,
  type EventName,
  encodeTerm,
  type EventsOf,
  FedecksError,
  type MessageToSend,
  type PayloadToSend,
  type Term,
  tuple,
} from '../wire/internal.js';
import { type PushResult } from './backplane.js';
import { type DeviceDeliverOptions, resolveDeliverOptions } from './deliveries/deliver-options.js';
import { type DeviceDeliveries } from './deliveries/device-deliveries.js';
import { type DeviceDelivery } from './deliveries/device-delivery.js';
import { type ConnectedDevice } from './device.js';
import { MessageTooLargeError } from './errors.js';
import { type LocalEndpoint } from './endpoints.js';
import { checkGroupName } from './local-node.js';
import { encodeMessage } from './message.js';
import { type Presence } from './presence.js';
import { payloadOf } from './websocket/frame-writer.js';

/** The largest message that is kept for a device. */
const MAX_DELIVERY_BYTES = 256 * 1_024;

/**
 * The devices of one endpoint: pushes, groups and presence. Created by {@link Fedecks.endpoint}. With a {@link Contract},
 * the compiler allows only its events.
 */
export class FedecksEndpoint<C extends Contract = Contract> {
  /** Which devices are connected to any node, and which were. */
  readonly presence: Presence;

  /** The messages that were put in with {@link deliver}, and their states. */
  readonly deliveries: DeviceDeliveries;

  /** @internal @param targets returns the endpoints to act on. */
  constructor(
    private readonly targets: () => readonly LocalEndpoint[],
    presence: Presence,
    deliveries: DeviceDeliveries,
    /** Called with what an observer of {@link stream} throws. */
    private readonly onObserverFailure: OnFailure,
  ) {
    this.presence = presence;
    this.deliveries = deliveries;
  }

  /**
   * Sends a message to a device on any node. Returns `sent` if it was written to the device's socket, and `offline` if it
   * was not, and never will be.
   * @throws {TypeError} when the device id is not a string.
   * @throws {TermEncodeError} when the message contains a value that is not a term.
   * @throws {ReservedMessageError} when the device would read it as a token.
   * @throws {MessageTooLargeError} when it exceeds the size limit. Nothing was sent.
   * @throws {BackplaneError} when the other nodes are unreachable, or do not answer in time.
   */
  async push<Message>(
    deviceId: string,
    message: MessageToSend<EventsOf<C, 'down'>, Message>,
  ): Promise<PushResult> {
    checkDeviceId('push(deviceId, ...)', deviceId);
    const frame = encodeMessage(message);
    const sent = await anyOf(this.targets().map((endpoint) => pushTo(endpoint, deviceId, frame)));
    return sent ? 'sent' : 'offline';
  }

  /**
   * Asks a device, whichever node holds it: the handler of the event on the device returns the answer, `null` where it
   * returns nothing. Each request has exactly one outcome (PROTOCOL.md §6.3).
   * @throws {DeviceOfflineError} (rejects) when the device is connected nowhere: nothing was sent.
   * @throws {NotSupportedError} (rejects) when the device speaks protocol 1: nothing was sent.
   * @throws {RequestFailedError} (rejects) when the device answers that there is no result; `code` says why.
   * @throws {RequestTimeoutError} (rejects) when no answer came in time: whether it was handled is not known.
   * @throws {ConnectionLostError} (rejects) when the connection ended before: whether it was handled is not known.
   * @throws {BackplaneError} (rejects) when the other nodes could not be asked, or have not answered.
   * @throws {TermEncodeError} (rejects) when the payload holds something that is no term.
   * @throws the reason of `signal` (rejects) when that aborts. The device is told to stop.
   */
  async request<Event extends EventName<EventsOf<C, 'down'>>, Payload>(
    deviceId: string,
    event: Event,
    payload: PayloadToSend<EventsOf<C, 'down'>, Event, Payload>,
    options?: RequestOptions,
  ): Promise<Term> {
    const outcome = request(this.asking('request', deviceId, event, payload), options);
    const [target] = this.targets();
    if (target?.telemetry.isCounting) void countOutcome(target, outcome);
    return outcome;
  }

  /**
   * Asks a device for a stream of values: the handler on the device returns an Observable, an async iterable or a
   * generator. The request is sent when the stream is subscribed to; unsubscribing tells the device to stop. It has no
   * deadline, ends with its connection, and fails with the errors of {@link request}.
   */
  stream<Event extends EventName<EventsOf<C, 'down'>>, Payload>(
    deviceId: string,
    event: Event,
    payload: PayloadToSend<EventsOf<C, 'down'>, Event, Payload>,
  ): Observable<Term> {
    const ask = this.asking('stream', deviceId, event, payload);
    return new GuardedObservable(this.counted(stream(ask)), this.onObserverFailure);
  }

  private counted(values: Observable<Term>): Observable<Term> {
    return defer(() => {
      const [target] = this.targets();
      if (!target?.telemetry.isCounting) return values;
      const count = (outcome: string): void => target.telemetry.onRequestEnded(outcome);
      return values.pipe(
        tap({
          complete: () => count('answered'),
          error: (error: unknown) => count(outcomeOf(error)),
          unsubscribe: () => count('aborted'),
        }),
      );
    });
  }

  private asking(method: string, deviceId: string, event: string, payload: unknown): Ask {
    checkDeviceId(`${method}(deviceId, ...)`, deviceId);
    if (typeof event !== 'string')
      throw new TypeError(`${method}(deviceId, event, ...): the event must be a string.`);
    const message: Term = tuple<[unknown, unknown]>(event, payload);
    return (timeoutMs, answered) => askDevice(this.targets(), deviceId, message, timeoutMs, answered);
  }

  /**
   * Keeps a message for a device, and sends it when the device is connected, to whichever node, until the handler of the
   * event on the device has finished. Resolves when it is kept: in `deliveryStore`. What is promised: docs/how-to/deliveries-to-devices.md.
   * @throws {DeliveryQueueFullError} (rejects) when 1,000 messages wait for the device, or messages of 8 other lanes.
   * @throws {MessageTooLargeError} (rejects) when it has more than 256 KiB.
   * @throws {TermEncodeError} (rejects) when the payload holds something that is no term.
   * @throws {RangeError} (rejects) for an option that is out of range or does not exist, before the app has started, and when there are several
   *   endpoints: use `fedecks.endpoint(path).deliver`.
   * @throws {BackplaneError} (rejects) when the other nodes keep it, and are unreachable; or what your store throws.
   *   Whether it is kept is not known, if the store has kept it and its answer was lost.
   */
  async deliver<Event extends EventName<EventsOf<C, 'down'>>, Payload>(
    deviceId: string,
    event: Event,
    payload: PayloadToSend<EventsOf<C, 'down'>, Event, Payload>,
    options?: DeviceDeliverOptions,
  ): Promise<DeviceDelivery> {
    checkDeviceId('deliver(deviceId, ...)', deviceId);
    const facts = resolveDeliverOptions(deviceId, event, options);
    const message = encodeTerm(tuple<[unknown, unknown]>(event, payload) as Term);
    if (message.length > MAX_DELIVERY_BYTES)
      throw new MessageTooLargeError(message.length, MAX_DELIVERY_BYTES);
    const [target, another] = this.targets();
    if (!target) {
      throw new RangeError(
        'deliver(): the app has not started, so it has no endpoint yet. Call await app.init() or app.listen() before; in a ' +
          'provider, deliver from onApplicationBootstrap() on.',
      );
    }
    if (another) {
      throw new RangeError(
        'deliver(): this app has several endpoints. Use fedecks.endpoint(path).deliver(...).',
      );
    }
    return target.toDevices.put(deviceId, { ...facts, message });
  }

  /**
   * Sends a message to every device of every node. If a device disconnects before the write, its node reports
   * `undelivered` to `@OnSocketError`.
   * @throws what {@link push} throws. The devices of this node receive the message even then.
   */
  async broadcast<Message>(message: MessageToSend<EventsOf<C, 'down'>, Message>): Promise<void> {
    await this.toMany(encodeMessage(message));
  }

  /**
   * Adds a device of this node to a group, until its connection ends. Returns whether the device is connected to this
   * node. Joining again has no effect.
   * @param name has 1 to 128 bytes.
   * @throws {RangeError} for an invalid name, and when the device is already in 64 groups.
   */
  joinGroup(deviceId: string, name: string): boolean {
    checkDeviceId('joinGroup(deviceId, ...)', deviceId);
    return this.targets()
      .map(({ node }) => node.join(deviceId, name))
      .includes(true);
  }

  /** Removes a device of this node from a group. Returns whether the device is connected to this node. */
  leaveGroup(deviceId: string, name: string): boolean {
    checkDeviceId('leaveGroup(deviceId, ...)', deviceId);
    return this.targets()
      .map(({ node }) => node.leave(deviceId, name))
      .includes(true);
  }

  /**
   * Sends a message to the members of a group on all nodes. Otherwise like {@link broadcast}.
   * @throws {RangeError} for an invalid name.
   */
  async pushToGroup<Message>(
    name: string,
    message: MessageToSend<EventsOf<C, 'down'>, Message>,
  ): Promise<void> {
    checkGroupName(name);
    await this.toMany(encodeMessage(message), name);
  }

  /** The devices connected to this process. */
  devices(): ConnectedDevice[] {
    return this.targets().flatMap(({ node }) => [...node.all()]);
  }

  /**
   * Closes the connections of a device with 1000, on all nodes, and returns whether there was any. The device
   * reconnects.
   * @throws {BackplaneError} when this node holds none, and the other nodes are unreachable.
   */
  async disconnect(deviceId: string): Promise<boolean> {
    checkDeviceId('disconnect(deviceId, ...)', deviceId);
    return anyOf(
      this.targets().map(async ({ options, node, backplane }) => {
        const here = node.disconnect(deviceId);
        if (here && options.duplicates !== 'allow') return true;
        return anyOf([here, backplane.disconnect(deviceId)]);
      }),
    );
  }

  /**
   * Revokes all tokens that a device has received, and closes its connections with 4150, on all nodes. The device must
   * log in again. Resolves when the store has saved the revocation.
   * @throws {BackplaneError} when the backplane has not saved it. Call it again: the other nodes do not know of it.
   * @throws what the `revocations` store throws. The connections are closed even then.
   */
  async revoke(deviceId: string): Promise<void> {
    checkDeviceId('revoke(deviceId, ...)', deviceId);
    const endpoints = this.targets();
    const kept = endpoints.map(({ revocations }) => revocations.revoke(deviceId));
    // Without waiting: a connected device would receive a token that is not revoked.
    for (const { node } of endpoints) node.closeRevoked(deviceId);
    await Promise.all(kept);
  }

  private async toMany(frame: Buffer, group?: string): Promise<void> {
    await Promise.all(
      this.targets().map(({ node, backplane }) => {
        node.writeFrameToAll(frame, group);
        return backplane.broadcast(payloadOf(frame), group);
      }),
    );
  }
}

/** The device is asked where it is: on this node if it is here, and else by the node that holds it. */
function askDevice(
  targets: readonly LocalEndpoint[],
  deviceId: string,
  message: Term,
  timeoutMs: number,
  answered: Answered,
): AskedRequest | Promise<AskedRequest> {
  for (const { node } of targets) {
    const asked = node.ask(deviceId, message, timeoutMs, answered);
    if (asked) return asked;
  }
  return askElsewhere(targets, deviceId, message, timeoutMs, answered);
}

async function askElsewhere(
  targets: readonly LocalEndpoint[],
  deviceId: string,
  message: Term,
  timeoutMs: number,
  answered: Answered,
): Promise<AskedRequest> {
  for (const { node, backplane } of targets) {
    const asked = await backplane.ask(deviceId, message, timeoutMs, answered);
    // It may have come to this node meanwhile.
    const here = asked ?? node.ask(deviceId, message, timeoutMs, answered);
    if (here) return here;
  }
  throw new DeviceOfflineError(deviceId);
}

/**
 * In untyped code, a missing id would otherwise look like an offline device, and its revocation would seem to succeed.
 * @throws {TypeError}
 */
export function checkDeviceId(call: string, deviceId: unknown): void {
  if (typeof deviceId === 'string') return;
  throw new TypeError(
    `${call}: the device id must be a string, not ${deviceId === null ? 'null' : typeof deviceId}.`,
  );
}

/** Never rejects: the caller of the request has its error. */
async function countOutcome({ telemetry }: LocalEndpoint, answer: Promise<Term>): Promise<void> {
  await answer.then(
    () => telemetry.onRequestEnded('answered'),
    (error: unknown) => telemetry.onRequestEnded(outcomeOf(error)),
  );
}

/** The code of an error of ours. Otherwise its caller has given up, or has asked for what cannot be sent. */
function outcomeOf(error: unknown): string {
  return error instanceof FedecksError ? error.code : 'aborted';
}

/** As {@link writeOrPush}, and counts the result. */
function pushTo(endpoint: LocalEndpoint, deviceId: string, frame: Buffer): boolean | Promise<boolean> {
  const sent = writeOrPush(endpoint, deviceId, frame);
  const { telemetry } = endpoint;
  if (!telemetry.isCounting) return sent;
  const onPushed = (isSent: boolean): boolean => {
    telemetry.onPushed(isSent ? 'sent' : 'offline');
    return isSent;
  };
  if (typeof sent === 'boolean') return onPushed(sent);
  return sent.then(onPushed, (error: unknown) => {
    telemetry.onPushed('failed');
    throw error;
  });
}

/** Writes on this node if it holds the device, otherwise through the node that does. */
function writeOrPush(
  { node, options, backplane }: LocalEndpoint,
  deviceId: string,
  frame: Buffer,
): boolean | Promise<boolean> {
  const here = node.writeFrame(deviceId, frame);
  if (here !== undefined && options.duplicates !== 'allow') return here;
  const elsewhere = backplane.push(deviceId, payloadOf(frame)).then((result) => result === 'sent');
  return here === undefined ? elsewhere : anyOf([here, elsewhere]);
}

/** Whether any answer is true. If none is, throws the first rejection. */
async function anyOf(answers: readonly (boolean | Promise<boolean>)[]): Promise<boolean> {
  const [only] = answers;
  // Fast path: with one endpoint, a local push resolves synchronously.
  if (answers.length === 1 && only !== undefined) return only;
  const settled = await Promise.allSettled(answers.map(async (answer) => answer));
  if (settled.some((each) => each.status === 'fulfilled' && each.value)) return true;
  const failed = settled.find((each) => each.status === 'rejected');
  if (failed) throw failed.reason;
  return false;
}
