import { randomBytes } from 'node:crypto';

/** 22 characters. */
export function newEpoch(): string {
  return randomBytes(16).toString('base64url');
}
