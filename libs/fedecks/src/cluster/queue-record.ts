import { type DeviceQueue, type FinalState, isLane, type QueueEntry } from '../delivery/index.js';

/**
 * What is kept under the key of a device. A queue is removed by a write, as only writes are compare-and-set; the entry is
 * deleted after that.
 */
export type QueueRecord = DeviceQueue | { readonly removed: true };

/** The queue of an entry, if it has one. */
export function queueOf(record: object | undefined): DeviceQueue | undefined {
  return record && 'waiting' in record ? (record as DeviceQueue) : undefined;
}

export function isQueueRecord(value: unknown): value is QueueRecord {
  return (value as Partial<Record<string, unknown>> | null)?.['removed'] === true || isDeviceQueue(value);
}

/** The state of a message, without its bytes. A field more is from a later version. */
export function isQueueEntry(value: unknown): value is QueueEntry {
  return isFacts(value) && ('finalAt' in value ? isEnding(value) : isTime(value['expiresAt']));
}

function isDeviceQueue(value: unknown): value is DeviceQueue {
  const { revision, dueAt, lanes, waiting, final } = fieldsOf(value);
  return (
    isNumber(revision) &&
    isTime(dueAt) &&
    isListOf(lanes, isQueueLane) &&
    new Set(lanes.map(({ lane }) => lane)).size === lanes.length &&
    isListOf(waiting, isWaiting) &&
    isInOrder(waiting, new Set(lanes.map(({ lane }) => lane))) &&
    isListOf(final, isFinal)
  );
}

/** Whether the numbers of each lane rise, and the queue has those lanes. */
function isInOrder(waiting: readonly Facts[], lanes: ReadonlySet<unknown>): boolean {
  const last = new Map<unknown, number>();
  return waiting.every(({ lane, seq }) => {
    const isNext = lanes.has(lane) && seq > (last.get(lane) ?? 0);
    last.set(lane, seq);
    return isNext;
  });
}

interface Fields {
  readonly [field: string]: unknown;
}

interface Facts extends Fields {
  readonly lane: number;
  readonly seq: number;
}

function isFacts(value: unknown): value is Facts {
  const { lane, epoch, seq, event, key, queuedAt, sentAt, attempts } = fieldsOf(value);
  return (
    isLane(lane as number) &&
    isEpoch(epoch) &&
    isNumber(seq) &&
    seq >= 1 &&
    typeof event === 'string' &&
    isText(key) &&
    isTime(queuedAt) &&
    (sentAt === undefined || isTime(sentAt)) &&
    isNumber(attempts) &&
    attempts >= 0
  );
}

function isWaiting(value: unknown): value is Facts {
  return (
    isFacts(value) &&
    isTime(value['expiresAt']) &&
    typeof value['message'] === 'string' &&
    [undefined, true].includes(value['isCancelled'] as true)
  );
}

function isFinal(value: unknown): value is Facts {
  return isFacts(value) && isEnding(value);
}

const FINAL_STATES: readonly unknown[] = [
  'done',
  'rejected',
  'expired',
  'cancelled',
] satisfies readonly FinalState[];

function isEnding({ state, result, code, text, finalAt }: Fields): boolean {
  return FINAL_STATES.includes(state) && [result, code, text].every(isText) && isTime(finalAt);
}

function isQueueLane(value: unknown): value is Fields {
  const { lane, name, last, spans } = fieldsOf(value);
  return isLane(lane as number) && typeof name === 'string' && isNumber(last) && isListOf(spans, isSpan);
}

function isSpan(value: unknown): value is Fields {
  const { epoch, from } = fieldsOf(value);
  return isEpoch(epoch) && isNumber(from);
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function isListOf<T>(value: unknown, isOne: (each: unknown) => each is T): value is readonly T[] {
  return Array.isArray(value) && value.every(isOne);
}

function isText(value: unknown): boolean {
  return value === undefined || typeof value === 'string';
}

function isEpoch(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && value.length <= 32;
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isTime(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value);
}
