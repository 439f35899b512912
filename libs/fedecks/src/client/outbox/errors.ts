import { FedecksError } from '../../wire/internal.js';

/** A message that is not kept, since the outbox is full. */
export class OutboxFullError extends FedecksError {
  override readonly name = 'OutboxFullError';
  declare readonly code: 'outbox-full';

  constructor(message: string) {
    super('outbox-full', message);
  }
}

/**
 * Why an outbox store cannot do what it should:
 * - `outbox-locked`: another process uses the directory, or another client the store.
 * - `outbox-unusable`: the directory cannot be made, read or written, or a newer version has written it.
 * - `outbox-write-failed`: the disk did not take it. `cause` is the error of the system.
 * - `outbox-closed`: the store is not open.
 * - `no-outbox`: the client has none.
 */
export type OutboxStoreFailure =
  'outbox-locked' | 'outbox-unusable' | 'outbox-write-failed' | 'outbox-closed' | 'no-outbox';

/** A message that is not kept, since the store cannot do what it should. */
export class OutboxStoreError extends FedecksError {
  override readonly name = 'OutboxStoreError';
  declare readonly code: OutboxStoreFailure;

  constructor(code: OutboxStoreFailure, message: string, cause?: unknown) {
    super(code, message);
    if (cause !== undefined) this.cause = cause;
  }
}

export function notOpen(): OutboxStoreError {
  return new OutboxStoreError('outbox-closed', 'The outbox is not open: call open() first, once.');
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'Free space on the disk',
  EDQUOT: 'Raise the disk quota, or free space',
  EROFS: 'Mount the file system writable, or choose another directory',
  EACCES: 'Give this user the permission to write there, or choose another directory',
  EPERM: 'Give this user the permission to write there, or choose another directory',
  EMFILE: 'Raise the limit of open files',
  ENFILE: 'Raise the limit of open files',
  ENOTDIR: 'Choose a path that is a directory',
  EEXIST: 'Choose a path that is a directory',
  EIO: 'Replace the disk: it reports errors',
};

/** What failed, and what to change, as two sentences. */
export function explainFailure(error: unknown, directory: string): string {
  const { code } = error as NodeJS.ErrnoException;
  const remedy = REMEDIES[code ?? ''] ?? 'Check the disk';
  return `${String(error)}. ${remedy} (outbox in ${directory}).`;
}
