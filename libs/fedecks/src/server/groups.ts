import { type Connection } from './connection.js';

const MAX_NAME_BYTES = 128;
const MAX_GROUPS = 64;

/** Which connections of this node belong to which groups. A membership ends with its connection. */
export class Groups {
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
  if (name === '' || Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new RangeError(`The name of a group must have from 1 to ${MAX_NAME_BYTES} bytes.`);
  }
}
