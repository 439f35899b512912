import { messageOf } from '../faults/index.js';
import { type BackplaneEndpoint, type BackplaneHealth } from './backplane.js';
import { type CloneTrace, type NewerConnection } from './clones.js';
import { type Connection } from './connection.js';
import { type ConnectedDevice, type SocketError } from './device.js';
import { Duplicates } from './duplicates.js';
import { type ResolvedOptions } from './fedecks-options.js';
import { Groups } from './groups.js';
import { Registry } from './registry.js';
import { type Revocations } from './revocations.js';
import { binaryFrame } from './websocket/frame-writer.js';

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
