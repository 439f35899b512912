import { setTimeout as sleep } from 'node:timers/promises';
import {
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleInit,
  ServiceUnavailableException,
} from '@nestjs/common';
import { type Fedecks, type RevocationStore } from '@fedecks/nest';
import { MAX_DEVICE_ID_BYTES } from '@fedecks/nest/wire';
import { type Database } from '../database/database.js';
import { type DatabaseLink } from '../database/database-link.js';
import { inTime } from '../database/in-time.js';
import { MAX_WRITTEN, type Revocation, RevocationTable } from './revocation-table.js';
import { RevocationsFile } from './revocations-file.js';
import { RevokedConnections } from './revoked-connections.js';

const READ_EVERY_MS = 2_000;
/** In between, only what was written since is read. */
const READ_ALL_EVERY_MS = 600_000;
/** A statement may be visible so much later than its time says. */
const OVERLAP_MS = 60_000;
/** How long, in milliseconds, a revocation and the start of the app wait for the database. */
const WAIT_MS = 5_000;

/**
 * Keeps revocations in the database, with all of them in memory and in a file: `revokedAt` answers from memory, so that a
 * database which is slow or absent keeps no device from connecting. What other nodes have revoked is known after 2 s.
 */
export class DatabaseRevocations
  implements RevocationStore, OnModuleInit, OnApplicationBootstrap, OnApplicationShutdown
{
  private readonly logger = new Logger('Revocations');
  private readonly known = new Map<string, Revocation>();
  /** Those that may not be in the database. */
  private readonly unsaved = new Set<string>();
  private readonly table: RevocationTable;
  private readonly file: RevocationsFile;
  private connections: RevokedConnections | undefined;
  private readonly ending = new AbortController();
  /** Up to where the table was read, by the clock of the database in ms. */
  private readUpTo = 0;
  /** By the monotonic clock, in ms. */
  private readAllAt = 0;
  private hasFile = false;
  private isAnswering = true;

  /** @param directory of the file. */
  constructor(
    database: Database,
    private readonly link: Pick<DatabaseLink, 'isReady'>,
    private readonly fedecks: Fedecks,
    directory: string,
  ) {
    this.table = new RevocationTable(database);
    this.file = new RevocationsFile(directory, () => this.known.values(), this.onFileFailure.bind(this));
  }

  revokedAt(deviceId: string): number | undefined {
    return this.known.get(deviceId)?.at;
  }

  /**
   * Holds on this node at once. Resolves when it is in the database.
   * @throws {RangeError} (rejects) when no device can have the id.
   * @throws {ServiceUnavailableException} (rejects) when the database does not answer within 5 s. The revocation holds on
   *   this node all the same, and is written when the database is back.
   */
  async revoke(deviceId: string, at: number, until: number): Promise<void> {
    if (deviceId === '' || Buffer.byteLength(deviceId) > MAX_DEVICE_ID_BYTES)
      throw new RangeError(`A device id has 1 to ${MAX_DEVICE_ID_BYTES} bytes: nothing was revoked.`);
    this.raise({ deviceId, at, until: Math.ceil(until) });
    this.unsaved.add(deviceId);
    this.file.save();
    try {
      await inTime(this.write([deviceId]), WAIT_MS, () => new Error(`no answer within ${WAIT_MS} ms`));
    } catch (error) {
      this.logger.error(`A revocation was not written to the database: ${messageOf(error)}`);
      const isOnDisk = await this.file.flush().then(
        () => true,
        (failure: unknown) => this.onFileFailure(failure),
      );
      throw new ServiceUnavailableException(
        'The database does not answer. The device is revoked on this node' +
          (isOnDisk ? ', also after a restart' : ' until it restarts') +
          ', and on the others when the database is back: revoke it again then to be sure.',
        { cause: error },
      );
    }
  }

  async onModuleInit(): Promise<void> {
    try {
      const saved = await this.file.read();
      for (const revocation of saved ?? []) this.raise(revocation);
      this.hasFile = saved !== undefined;
    } catch (error) {
      this.logger.error(`The copy of the revocations cannot be read: ${messageOf(error)}`);
    }
  }

  async onApplicationBootstrap(): Promise<void> {
    const first = this.exchange();
    const isRead = await Promise.race([first, sleep(WAIT_MS, false, { ref: false })]);
    if (!isRead && !this.hasFile) {
      this.logger.warn(
        'The revocations are not known, as neither the database nor their copy can be read. Devices with a token may ' +
          'connect; revoked ones are disconnected as soon as the database answers.',
      );
    }
    // Nobody is connected before this.
    this.connections = new RevokedConnections(this.fedecks, (error) =>
      this.logger.error(`A revoked device could not be disconnected: ${messageOf(error)}`),
    );
    void this.follow(first);
  }

  async onApplicationShutdown(): Promise<void> {
    this.ending.abort();
    await this.file.close().catch((error: unknown) => this.onFileFailure(error));
  }

  private async follow(first: Promise<boolean>): Promise<void> {
    const { signal } = this.ending;
    for (let last = first; !signal.aborted; last = this.exchange()) {
      await last;
      await sleep(READ_EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** Writes what is not in the database yet, and reads what is new there. Returns whether the database answers. */
  private async exchange(): Promise<boolean> {
    if (!this.link.isReady) return false;
    try {
      await this.writeUnsaved();
      if (performance.now() >= this.readAllAt) await this.readAll();
      else await this.read(this.readUpTo - OVERLAP_MS);
    } catch (error) {
      if (this.isAnswering && !this.ending.signal.aborted)
        this.logger.warn(
          `Revocations of other nodes are not seen until the database answers: ${messageOf(error)}`,
        );
      this.isAnswering = false;
      // The database may come back with less than it had.
      this.readAllAt = 0;
      return false;
    }
    this.isAnswering = true;
    return true;
  }

  private async readAll(): Promise<void> {
    const inTable = await this.read(0);
    for (const { deviceId, at } of this.known.values())
      if ((inTable.get(deviceId) ?? -1) < at) this.unsaved.add(deviceId);
    await this.writeUnsaved();
    await this.table.removeOver();
    this.forgetOver();
    this.readAllAt = performance.now() + READ_ALL_EVERY_MS;
  }

  /** Reads what was written since, and returns it by device. */
  private async read(since: number): Promise<ReadonlyMap<string, number>> {
    const inTable = new Map<string, number>();
    for await (const page of this.table.pagesSince(since)) {
      const newer = new Set<string>();
      for (const { deviceId, at, until, writtenAt } of page) {
        inTable.set(deviceId, at);
        this.readUpTo = Math.max(this.readUpTo, writtenAt);
        if (this.raise({ deviceId, at, until })) newer.add(deviceId);
      }
      if (newer.size > 0) this.file.save();
      this.connections?.disconnect(newer);
    }
    return inTable;
  }

  private async writeUnsaved(): Promise<void> {
    const deviceIds = [...this.unsaved];
    for (let from = 0; from < deviceIds.length; from += MAX_WRITTEN)
      await this.write(deviceIds.slice(from, from + MAX_WRITTEN));
  }

  private async write(deviceIds: readonly string[]): Promise<void> {
    const revocations = deviceIds.flatMap((deviceId) => this.known.get(deviceId) ?? []);
    if (revocations.length > 0) await this.table.write(revocations);
    const saved = new Map(revocations.map(({ deviceId, at }) => [deviceId, at]));
    // Unless it was revoked again meanwhile.
    for (const id of deviceIds) if (this.known.get(id)?.at === saved.get(id)) this.unsaved.delete(id);
  }

  /** Remembers a revocation. Returns whether it is newer than the one that was known. */
  private raise(revocation: Revocation): boolean {
    const { deviceId, at, until } = revocation;
    if (until <= Date.now()) return false;
    const before = this.known.get(deviceId);
    if (before && before.at > at) return false;
    if (!before || before.at < at || before.until < until) this.known.set(deviceId, revocation);
    return !before || before.at < at;
  }

  private forgetOver(): void {
    const now = Date.now();
    const over = [...this.known.values()].filter(({ until }) => until <= now);
    for (const { deviceId } of over) {
      this.known.delete(deviceId);
      this.unsaved.delete(deviceId);
    }
    if (over.length > 0) this.file.save();
  }

  private onFileFailure(error: unknown): false {
    this.logger.error(`The copy of the revocations cannot be written: ${messageOf(error)}`);
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error';
}
