import { mkdir, open, readdir, rename, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The operations on files that the outbox needs: a test puts a disk in their place that loses its power. */
export interface Files {
  /** Makes a directory with its parents, for this user alone. */
  makeDirectory(path: string): Promise<void>;
  list(directory: string): Promise<string[]>;
  /** `create` fails if the file exists; the others fail if it does not. */
  open(path: string, mode: 'read' | 'update' | 'create'): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Resolves when the names in the directory survive a power cut, where the file system supports that. */
  syncDirectory(path: string): Promise<void>;
}

export interface OpenFile {
  size(): Promise<number>;
  /** Resolves with the number of bytes read, which may be less than `buffer` takes; 0 at the end of the file. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  /** Resolves when all bytes are written. They survive the end of the process then, and no power cut. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  truncate(length: number): Promise<void>;
  /** Resolves when what was written survives a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

const FLAGS = { read: 'r', update: 'r+', create: 'wx+' } as const;

export const nodeFiles: Files = {
  async makeDirectory(path) {
    const first = await mkdir(path, { recursive: true, mode: 0o700 });
    // A new directory survives a power cut when the one that names it is flushed.
    for (let made = path; first !== undefined && made.length >= first.length; made = dirname(made)) {
      await nodeFiles.syncDirectory(dirname(made));
    }
  },
  list: (directory) => readdir(directory),
  open: async (path, mode) => new NodeFile(await open(path, FLAGS[mode], 0o600)),
  rename: (from, to) => rename(from, to),
  unlink: (path) => unlink(path),
  async syncDirectory(path) {
    // Some file systems cannot flush a directory.
    const directory = await open(path, 'r').catch(() => undefined);
    await directory?.sync().catch(() => undefined);
    await directory?.close();
  },
};

class NodeFile implements OpenFile {
  constructor(private readonly handle: FileHandle) {}

  async size(): Promise<number> {
    return (await this.handle.stat()).size;
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    return (await this.handle.read(buffer, 0, buffer.length, position)).bytesRead;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += (await this.handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
    }
  }

  truncate(length: number): Promise<void> {
    return this.handle.truncate(length);
  }

  sync(): Promise<void> {
    return this.handle.datasync();
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}
