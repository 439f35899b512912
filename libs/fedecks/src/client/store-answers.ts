import { type OutboxRecord } from './outbox/outbox-store.js';

// A store of the application may answer anything. What is wrong must not go on to where it does harm later.

/** @throws {TypeError} if it is no record. */
export function checkedRecord(answer: unknown): OutboxRecord | undefined {
  if (answer === undefined || answer === null) return undefined;
  const { message, putAt } = answer as Partial<Record<keyof OutboxRecord, unknown>>;
  if (message instanceof Uint8Array && typeof putAt === 'object' && putAt !== null)
    return answer as OutboxRecord;
  throw new TypeError(
    'read() of the outbox must resolve with a record: { message, putAt, ... }, or undefined',
  );
}

/** @throws {TypeError} if it is no number of a message. */
export function checkedNumber(answer: unknown): number {
  if (Number.isSafeInteger(answer) && Number(answer) >= 1) return answer as number;
  throw new TypeError('append() of the outbox must resolve with the number of the message, from 1');
}
