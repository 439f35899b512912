import { type Contract, type EventsOf, type MessageToSend } from '../wire/internal.js';
import { type PushResult } from './backplane.js';
import { type ConnectedDevice } from './device.js';
import { type LocalEndpoint } from './endpoints.js';
import { checkGroupName } from './local-node.js';
import { encodeMessage } from './message.js';
import { type Presence } from './presence.js';
import { payloadOf } from './websocket/frame-writer.js';

/**
 * The devices of one endpoint: pushes to them, and says who is there. Made by {@link Fedecks.endpoint}. With a
 * {@link Contract} the compiler lets only its events be sent.
 */
export class FedecksEndpoint<C extends Contract = Contract> {
  /** Who is connected, to whichever node, and who was. */
  readonly presence: Presence;

  /** @internal @param targets gives the endpoints that are meant. */
  constructor(
    private readonly targets: () => readonly LocalEndpoint[],
    presence: Presence,
  ) {
    this.presence = presence;
  }

  /**
   * Sends a message to a device, whichever node holds it. `sent` says that it was written to the device's socket;
   * `offline` that it was not, and never will be.
   * @throws {TypeError} when the device id is no string, as an `undefined` one.
   * @throws {TermEncodeError} when the message holds something that is no term.
   * @throws {ReservedMessageError} when the device would take it for a token.
   * @throws {MessageTooLargeError} when it is larger than a single message may be. Nothing was sent.
   * @throws {BackplaneError} when the other nodes could not be asked, or have not answered in time.
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
   * Sends a message to every device of every node. A device that goes before it is written is reported to
   * `@OnSocketError` as `undelivered`, on its node.
   * @throws what {@link push} throws; the devices of this node have it all the same.
   */
  async broadcast<Message>(message: MessageToSend<EventsOf<C, 'down'>, Message>): Promise<void> {
    await this.toMany(encodeMessage(message));
  }

  /**
   * Makes a device that is connected to this node a member of a group for as long as its connection lasts, and
   * tells whether it is connected here. Joining twice is joining once.
   * @param name of 1 to 128 bytes.
   * @throws {RangeError} for another name, and when the device is in 64 groups.
   */
  joinGroup(deviceId: string, name: string): boolean {
    checkDeviceId('joinGroup(deviceId, ...)', deviceId);
    return this.targets()
      .map(({ node }) => node.join(deviceId, name))
      .includes(true);
  }

  /** Takes a device that is connected to this node out of a group, and tells whether it is connected here. */
  leaveGroup(deviceId: string, name: string): boolean {
    checkDeviceId('leaveGroup(deviceId, ...)', deviceId);
    return this.targets()
      .map(({ node }) => node.leave(deviceId, name))
      .includes(true);
  }

  /**
   * Sends a message to the members of a group, on whichever nodes. The rest is as with {@link broadcast}.
   * @throws {RangeError} for a name that no group can have.
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
   * Closes the connections of a device with 1000, on whichever node, and tells whether there was any. The device
   * will come back.
   * @throws {BackplaneError} when this node holds none, and the others could not be asked.
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
   * Takes back what a device was given: tokens issued until now stop working, and its connections are closed
   * with 4150, on whichever node. It comes back only by logging in again. Resolves when the store has kept it.
   * @throws {BackplaneError} when the backplane has not kept it: call it again, the other nodes do not know of it.
   * @throws what the `revocations` store throws; its connections are closed all the same.
   */
  async revoke(deviceId: string): Promise<void> {
    checkDeviceId('revoke(deviceId, ...)', deviceId);
    const endpoints = this.targets();
    const kept = endpoints.map(({ revocations }) => revocations.revoke(deviceId));
    // At once: until its connection ends, a device is given tokens that are not revoked.
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

/**
 * Without types an id that is missing would be a device that is offline, and its revocation one that has succeeded.
 * @throws {TypeError}
 */
export function checkDeviceId(call: string, deviceId: unknown): void {
  if (typeof deviceId === 'string') return;
  throw new TypeError(
    `${call}: the device id must be a string, not ${deviceId === null ? 'null' : typeof deviceId}.`,
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
  // Fast path: with one endpoint, a push that is written at once waits for nothing.
  if (answers.length === 1 && only !== undefined) return only;
  const settled = await Promise.allSettled(answers.map(async (answer) => answer));
  if (settled.some((each) => each.status === 'fulfilled' && each.value)) return true;
  const failed = settled.find((each) => each.status === 'rejected');
  if (failed) throw failed.reason;
  return false;
}
