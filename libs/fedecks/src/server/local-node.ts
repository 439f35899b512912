import { type QueueEntry } from '../delivery/index.js';
import { messageOf } from '../faults/index.js';
import { type Answered, type AskedRequest, NotSupportedError } from '../requests/index.js';
import { type Term } from '../wire/internal.js';
import { type BackplaneEndpoint, type BackplaneHealth } from './backplane.js';
import { type CloneTrace, type NewerConnection } from './clones.js';
import { type Connection } from './connection.js';
import { type ToDevices } from './deliveries/to-devices.js';
import { type ConnectedDevice, type SocketError } from './device.js';
import { Duplicates } from './duplicates.js';
import { type ResolvedOptions } from './fedecks-options.js';
import { type Revocations } from './revocations.js';
import { type Telemetry } from './telemetry.js';
import { binaryFrame } from './websocket/frame-writer.js';

const MAX_GROUP_NAME_BYTES = 128;
const MAX_GROUPS = 64;

/** The log of the gateway. */
interface Log {
  log(line: string): void;
  warn(line: string): void;
}

/** The connections of one endpoint on this node, for the endpoint, the application and the backplane. */
export class LocalNode implements BackplaneEndpoint {
  /** Decides between connections of the same device. */
  readonly decisions: Duplicates;
  private readonly registry = new Registry();
  private readonly groups: Groups;

  /** @param onMembers called with the first member of a group, and after its last. */
  constructor(
    private readonly options: ResolvedOptions,
    private readonly revocations: Revocations,
    private readonly report: (error: SocketError) => void,
    private readonly logger: Log,
    /** Rate-limited, because foreign publishers can cause any number of failures. */
    private readonly limited: Pick<Log, 'warn'>,
    onMembers: (name: string, any: boolean) => void,
    private readonly toDevices: Pick<ToDevices, 'onChangeElsewhere' | 'onReachable'>,
    private readonly telemetry: Pick<Telemetry, 'onBackplaneChange'>,
  ) {
    this.decisions = new Duplicates(options, this.registry, report);
    this.groups = new Groups(onMembers);
  }

  // --- For the endpoint ------------------------------------------------------------------------------------

  add(connection: Connection): void {
    this.registry.add(connection);
  }

  remove(connection: Connection): void {
    this.registry.remove(connection);
    this.groups.leaveAll(connection);
  }

  /** A snapshot: connections may end while the caller iterates. */
  connections(): Connection[] {
    return [...this.registry.all()];
  }

  has(deviceId: string): boolean {
    return this.registry.of(deviceId).length > 0;
  }

  // --- For the application ---------------------------------------------------------------------------------

  /** Adds a device to a group, and returns whether it is connected here. @throws {RangeError} */
  join(deviceId: string, name: string): boolean {
    const here = this.registry.of(deviceId);
    for (const connection of here) this.groups.join(connection, name);
    return here.length > 0;
  }

  /** Removes a device from a group, and returns whether it is connected here. */
  leave(deviceId: string, name: string): boolean {
    const here = this.registry.of(deviceId);
    for (const connection of here) this.groups.leave(connection, name);
    return here.length > 0;
  }

  /**
   * Sends a request to the newest connection of the device. Undefined where this node does not hold it.
   * @param timeoutMs -1 for a stream, which has no deadline.
   * @throws {NotSupportedError} when the device speaks protocol 1.
   * @throws {RequestFailedError} `busy`, when too many are open.
   */
  ask(deviceId: string, message: Term, timeoutMs: number, answered: Answered): AskedRequest | undefined {
    const connection = this.newest(deviceId);
    if (connection?.protocol === 1) throw new NotSupportedError(`Device '${deviceId}'`);
    return connection?.ask(message, timeoutMs, answered);
  }

  /** The newest connection of a device to this node. */
  newest(deviceId: string): Connection | undefined {
    return this.registry.of(deviceId).at(-1);
  }

  /** Closes all connections of a device whose tokens this node has revoked. */
  closeRevoked(deviceId: string): void {
    for (const connection of [...this.registry.of(deviceId)]) connection.end('revoked');
  }

  // --- For the backplane -----------------------------------------------------------------------------------

  get path(): string {
    return this.options.path;
  }

  get duplicates(): ResolvedOptions['duplicates'] {
    return this.options.duplicates;
  }

  held(deviceId: string): ConnectedDevice | undefined {
    const connections = this.registry.of(deviceId);
    return connections[connections.length - 1]?.device;
  }

  *all(): Iterable<ConnectedDevice> {
    for (const { device } of this.registry.all()) yield device;
  }

  write(deviceId: string, bytes: Buffer): boolean | Promise<boolean> | undefined {
    return this.registry.of(deviceId).length === 0
      ? undefined
      : this.writeFrame(deviceId, binaryFrame(bytes));
  }

  /** Like {@link write}, with a whole frame. */
  writeFrame(deviceId: string, frame: Buffer): boolean | Promise<boolean> | undefined {
    const connections = this.registry.of(deviceId);
    const [first] = connections;
    if (!first || connections.length === 1) return first?.write(frame);
    return Promise.all([...connections].map(async (each) => each.write(frame))).then((written) =>
      written.includes(true),
    );
  }

  disconnect(deviceId: string): boolean {
    const connections = [...this.registry.of(deviceId)];
    for (const connection of connections) connection.end('disconnected');
    return connections.length > 0;
  }

  replace(deviceId: string, newer: NewerConnection): CloneTrace | undefined {
    return this.decisions.replaceByOther(deviceId, newer);
  }

  refuse(deviceId: string, newer: NewerConnection): boolean {
    return this.decisions.refuse(deviceId, newer);
  }

  onTrace(deviceId: string, trace: CloneTrace): void {
    this.decisions.onTrace(deviceId, trace);
  }

  revoked(deviceId: string, generation: number): void {
    this.revocations.observe(deviceId, generation);
    for (const connection of [...this.registry.of(deviceId)]) {
      // The device may have logged in again on a node that already knew of the revocation.
      if (connection.grant.generation < generation) connection.end('revoked');
    }
  }

  writeToAll(bytes: Buffer, group?: string): void {
    this.writeFrameToAll(binaryFrame(bytes), group);
  }

  /** Like {@link writeToAll}, with a whole frame. */
  writeFrameToAll(frame: Buffer, group?: string): void {
    for (const connection of [...(group === undefined ? this.registry.all() : this.groups.of(group))]) {
      const written = connection.write(frame);
      if (written === false) this.undelivered(connection);
      else if (written !== true) void written.then((done) => done || this.undelivered(connection));
    }
  }

  onQueueChange(deviceId: string, entries: readonly QueueEntry[]): void {
    this.toDevices.onChangeElsewhere(deviceId, entries);
  }

  onReachable(): void {
    void this.toDevices.onReachable();
  }

  changed(health: BackplaneHealth): void {
    this.telemetry.onBackplaneChange(health);
    if (health.status === 'up') this.logger.log('The backplane is up');
    else this.logger.warn(`The backplane is degraded: ${health.reason}`);
  }

  failed(what: string, error: unknown): void {
    this.limited.warn(`The backplane failed to ${what}: ${messageOf(error)}`);
  }

  private undelivered({ device }: Connection): void {
    this.report({
      deviceId: device.id,
      type: 'undelivered',
      info: 'the connection ended before a broadcast or group message was written',
    });
  }
}

/** The connections of one endpoint of this process, by device id. */
export class Registry {
  private readonly byId = new Map<string, Connection[]>();

  /** The number of connections. */
  get size(): number {
    return this.count;
  }
  private count = 0;

  of(deviceId: string): readonly Connection[] {
    return this.byId.get(deviceId) ?? [];
  }

  *all(): Iterable<Connection> {
    for (const connections of this.byId.values()) yield* connections;
  }

  add(connection: Connection): void {
    const others = this.byId.get(connection.device.id);
    if (others) others.push(connection);
    else this.byId.set(connection.device.id, [connection]);
    this.count++;
  }

  /** Removes only this connection: a late end must not remove a newer one of the same device. */
  remove(connection: Connection): void {
    const connections = this.byId.get(connection.device.id);
    const index = connections?.indexOf(connection) ?? -1;
    if (!connections || index < 0) return;
    connections.splice(index, 1);
    if (connections.length === 0) this.byId.delete(connection.device.id);
    this.count--;
  }
}

/** The groups of the connections of this node. A membership ends with its connection. */
class Groups {
  private readonly members = new Map<string, Set<Connection>>();
  private readonly names = new Map<Connection, Set<string>>();

  /** @param changed called with the first member of a group, and after its last. */
  constructor(private readonly changed: (name: string, any: boolean) => void) {}

  of(name: string): Iterable<Connection> {
    return this.members.get(name) ?? [];
  }

  /** @throws {RangeError} for an empty or too long name, or too many groups. */
  join(connection: Connection, name: string): void {
    checkGroupName(name);
    const names = this.names.get(connection) ?? new Set();
    if (names.has(name)) return;
    if (names.size >= MAX_GROUPS) {
      throw new RangeError(
        `Device '${connection.device.id}' is already in ${MAX_GROUPS} groups, the maximum: remove it from one first.`,
      );
    }
    this.names.set(connection, names.add(name));
    const members = this.members.get(name);
    if (members) {
      members.add(connection);
      return;
    }
    this.members.set(name, new Set([connection]));
    this.changed(name, true);
  }

  leave(connection: Connection, name: string): void {
    const names = this.names.get(connection);
    if (!names?.delete(name)) return;
    if (names.size === 0) this.names.delete(connection);
    const members = this.members.get(name);
    members?.delete(connection);
    if (members?.size !== 0) return;
    this.members.delete(name);
    this.changed(name, false);
  }

  leaveAll(connection: Connection): void {
    for (const name of [...(this.names.get(connection) ?? [])]) this.leave(connection, name);
  }
}

/** @throws {TypeError} if the name is not a string (in untyped code). @throws {RangeError} */
export function checkGroupName(name: unknown): void {
  if (typeof name !== 'string') {
    throw new TypeError(`A group name must be a string, not ${name === null ? 'null' : typeof name}.`);
  }
  if (name === '' || Buffer.byteLength(name) > MAX_GROUP_NAME_BYTES) {
    throw new RangeError(`A group name must have 1 to ${MAX_GROUP_NAME_BYTES} bytes.`);
  }
}
