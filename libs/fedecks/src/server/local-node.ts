import { messageOf } from '../faults/index.js';
import { type BackplaneEndpoint, type BackplaneHealth } from './backplane.js';
import { type CloneTrace, type NewerConnection } from './clones.js';
import { type Connection } from './connection.js';
import { type ConnectedDevice, type SocketError } from './device.js';
import { Duplicates } from './duplicates.js';
import { type ResolvedOptions } from './fedecks-options.js';
import { type Revocations } from './revocations.js';
import { binaryFrame } from './websocket/frame-writer.js';

const MAX_GROUP_NAME_BYTES = 128;
const MAX_GROUPS = 64;

/** Where the gateway's own log goes. */
interface Log {
  log(line: string): void;
  warn(line: string): void;
}

/** The connections that one endpoint has on this node: for the endpoint itself, the application, and the backplane. */
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
    /** Rate-limited, as foreign publishers can cause any number of failures. */
    private readonly limited: Pick<Log, 'warn'>,
    onMembers: (name: string, any: boolean) => void,
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

  /** All connections, as they are now: they may end while the caller goes through them. */
  connections(): Connection[] {
    return [...this.registry.all()];
  }

  has(deviceId: string): boolean {
    return this.registry.of(deviceId).length > 0;
  }

  // --- For the application ---------------------------------------------------------------------------------

  /** Makes a device a member of a group, and returns whether it is connected here. @throws {RangeError} */
  join(deviceId: string, name: string): boolean {
    const here = this.registry.of(deviceId);
    for (const connection of here) this.groups.join(connection, name);
    return here.length > 0;
  }

  /** Takes a device out of a group, and returns whether it is connected here. */
  leave(deviceId: string, name: string): boolean {
    const here = this.registry.of(deviceId);
    for (const connection of here) this.groups.leave(connection, name);
    return here.length > 0;
  }

  /** Closes all connections of a device, whose tokens have been revoked here. */
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

  /** Writes a frame to the device: as {@link write} does with the payload of one. */
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

  /** Writes one frame to many: as {@link writeToAll} does with the payload of one. */
  writeFrameToAll(frame: Buffer, group?: string): void {
    for (const connection of [...(group === undefined ? this.registry.all() : this.groups.of(group))]) {
      const written = connection.write(frame);
      if (written === false) this.undelivered(connection);
      else if (written !== true) void written.then((done) => done || this.undelivered(connection));
    }
  }

  changed(health: BackplaneHealth): void {
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
      info: 'the connection ended before a message for many was written',
    });
  }
}

/** Which devices are connected to one endpoint of this process. */
export class Registry {
  private readonly byId = new Map<string, Connection[]>();

  /** How many connections there are. */
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

  /** Takes out just this connection: a late end must not remove a newer one of the same device. */
  remove(connection: Connection): void {
    const connections = this.byId.get(connection.device.id);
    const index = connections?.indexOf(connection) ?? -1;
    if (!connections || index < 0) return;
    connections.splice(index, 1);
    if (connections.length === 0) this.byId.delete(connection.device.id);
    this.count--;
  }
}

/** Which connections of this node belong to which groups. A membership ends with its connection. */
class Groups {
  private readonly members = new Map<string, Set<Connection>>();
  private readonly names = new Map<Connection, Set<string>>();

  /** @param changed called with the first member of a group, and after its last. */
  constructor(private readonly changed: (name: string, any: boolean) => void) {}

  of(name: string): Iterable<Connection> {
    return this.members.get(name) ?? [];
  }

  /** @throws {RangeError} for a name that is empty or too long, and for one group too many. */
  join(connection: Connection, name: string): void {
    checkGroupName(name);
    const names = this.names.get(connection) ?? new Set();
    if (names.has(name)) return;
    if (names.size >= MAX_GROUPS) {
      throw new RangeError(`Device '${connection.device.id}' is in ${MAX_GROUPS} groups, which is the most.`);
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

/** @throws {TypeError} for what is no string, which only JavaScript can give. @throws {RangeError} */
export function checkGroupName(name: unknown): void {
  if (typeof name !== 'string') {
    throw new TypeError(`The name of a group must be a string, not ${name === null ? 'null' : typeof name}.`);
  }
  if (name === '' || Buffer.byteLength(name) > MAX_GROUP_NAME_BYTES) {
    throw new RangeError(`The name of a group must have from 1 to ${MAX_GROUP_NAME_BYTES} bytes.`);
  }
}
