import { type Files, type OpenFile } from '../../src/client/outbox/files.js';

/** What a disk was told, in order. */
type Operation =
  | {
      readonly type: 'name';
      readonly path: string;
      readonly inode: Inode | undefined;
      readonly from?: string;
    }
  | { readonly type: 'write'; readonly inode: Inode; readonly position: number; readonly bytes: Buffer }
  | { readonly type: 'truncate'; readonly inode: Inode; readonly length: number }
  | { readonly type: 'sync'; readonly inode: Inode }
  | { readonly type: 'sync directory' };

class Inode {
  content = Buffer.alloc(0);

  apply(operation: Operation): void {
    if (operation.type === 'truncate') this.content = this.content.subarray(0, operation.length);
    if (operation.type === 'write') this.put(operation.position, operation.bytes);
  }

  put(position: number, bytes: Buffer): void {
    const length = Math.max(this.content.length, position + bytes.length);
    this.content = Buffer.concat([this.content, Buffer.alloc(length - this.content.length)]);
    bytes.copy(this.content, position);
  }
}

const BLOCK = 512;

/**
 * A disk in memory that can lose its power after each operation: what was not flushed is then lost, kept, or torn at
 * blocks of 512 bytes; and so are names that were not flushed with their directory.
 *
 *     const disk = new PowerCutDisk();
 *     ...
 *     for (let cut = 0; cut <= disk.log.length; cut++) open(disk.after(cut, random));
 */
export class PowerCutDisk implements Files {
  readonly log: Operation[] = [];
  readonly names = new Map<string, Inode>();
  /** Fails an operation by throwing the error that it returns. */
  fail: (what: 'write' | 'sync' | 'create' | 'unlink' | 'truncate') => string | undefined = () => undefined;

  after(cut: number, random: () => number): PowerCutDisk {
    const disk = new PowerCutDisk();
    const operations = this.log.slice(0, cut);
    const flushedNames = operations.findLastIndex(({ type }) => type === 'sync directory');
    // Mostly names are lost in order, as a journal does it.
    const keepUpTo = flushedNames + random() * (cut - flushedNames + 1);
    const isJournal = random() < 0.5;
    const copies = new Map<Inode, Inode>();
    operations.forEach((operation, index) => {
      if (operation.type !== 'name') return;
      const isLost = index > flushedNames && (isJournal ? index > keepUpTo : random() < 0.5);
      if (isLost) return;
      const { path, inode, from } = operation;
      if (from !== undefined) disk.names.delete(from);
      if (inode === undefined) disk.names.delete(path);
      else {
        const copy = copies.get(inode) ?? survivor(inode, operations, random);
        copies.set(inode, copy);
        disk.names.set(path, copy);
      }
    });
    return disk;
  }

  /** The same files, without their history. */
  clone(): PowerCutDisk {
    const disk = new PowerCutDisk();
    for (const [path, inode] of this.names) {
      const copy = new Inode();
      copy.content = Buffer.from(inode.content);
      disk.names.set(path, copy);
    }
    return disk;
  }

  async makeDirectory(): Promise<void> {
    // There is one.
  }

  async list(directory: string): Promise<string[]> {
    return [...this.names.keys()].map((path) => path.slice(directory.length + 1));
  }

  async open(path: string, mode: 'read' | 'update' | 'create'): Promise<OpenFile> {
    const found = this.names.get(path);
    if (mode === 'create') {
      if (found !== undefined) throw failure('EEXIST');
      this.check('create');
      const inode = new Inode();
      this.names.set(path, inode);
      this.log.push({ type: 'name', path, inode });
      return this.file(inode);
    }
    if (found === undefined) throw failure('ENOENT');
    return this.file(found);
  }

  async rename(from: string, to: string): Promise<void> {
    const inode = this.names.get(from);
    if (inode === undefined) throw failure('ENOENT');
    this.names.delete(from);
    this.names.set(to, inode);
    this.log.push({ type: 'name', path: to, inode, from });
  }

  async unlink(path: string): Promise<void> {
    if (!this.names.has(path)) throw failure('ENOENT');
    this.check('unlink');
    this.names.delete(path);
    this.log.push({ type: 'name', path, inode: undefined });
  }

  async syncDirectory(): Promise<void> {
    this.log.push({ type: 'sync directory' });
  }

  private check(what: Parameters<PowerCutDisk['fail']>[0]): void {
    const code = this.fail(what);
    if (code !== undefined) throw failure(code);
  }

  private file(inode: Inode): OpenFile {
    const run = (operation: Operation): void => {
      inode.apply(operation);
      this.log.push(operation);
    };
    return {
      size: async () => inode.content.length,
      read: async (buffer, position) => inode.content.copy(buffer, 0, position, position + buffer.length),
      write: async (bytes, position) => {
        // Half of it is written when the disk is full.
        const code = this.fail('write');
        const end = code === undefined ? bytes.length : bytes.length >> 1;
        run({ type: 'write', inode, position, bytes: Buffer.from(bytes.subarray(0, end)) });
        if (code !== undefined) throw failure(code);
      },
      truncate: async (length) => {
        this.check('truncate');
        run({ type: 'truncate', inode, length });
      },
      sync: async () => {
        this.check('sync');
        run({ type: 'sync', inode });
      },
      close: async () => undefined,
    };
  }
}

/** What is left of a file. */
function survivor(inode: Inode, operations: readonly Operation[], random: () => number): Inode {
  const copy = new Inode();
  const flushed = operations.findLastIndex((each) => each.type === 'sync' && each.inode === inode);
  const survives = [0, 0.5, 1][Math.floor(random() * 3)]!;
  operations.forEach((operation, index) => {
    if (!('inode' in operation) || operation.inode !== inode || operation.type === 'name') return;
    if (index <= flushed) copy.apply(operation);
    else if (operation.type === 'truncate') {
      if (random() < survives) copy.apply(operation);
    } else if (operation.type === 'write')
      tear(copy, operation.position, operation.bytes, () => random() < survives);
  });
  return copy;
}

/** Writes those blocks of 512 bytes that survive. */
function tear(inode: Inode, position: number, bytes: Buffer, survives: () => boolean): void {
  for (let start = position; start < position + bytes.length;) {
    const end = Math.min(position + bytes.length, start - (start % BLOCK) + BLOCK);
    if (survives()) inode.put(start, bytes.subarray(start - position, end - position));
    start = end;
  }
}

function failure(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: of this disk`), { code });
}
