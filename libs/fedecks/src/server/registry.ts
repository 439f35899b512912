import { type Connection } from './connection.js';

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
