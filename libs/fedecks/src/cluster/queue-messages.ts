import { type QueueEntry } from '../delivery/index.js';
import { Malformed } from './link.js';
import { isQueueEntry } from './queue-record.js';

/** The size, in bytes, beyond which states are announced in several messages. One state alone may be larger. */
const FULL_BYTES = 64 * 1_024;
const MAX_BYTES = 256 * 1_024;

/** The states of messages for one device. */
export interface QueueNews {
  readonly device: string;
  readonly entries: readonly QueueEntry[];
}

/** What a node tells the others of messages for a device, in as many messages as it takes. */
export function encodeQueueNews({ device, entries }: QueueNews): readonly Buffer[] {
  const messages: QueueEntry[][] = [];
  let bytes = Infinity;
  for (const entry of entries) {
    const size = Buffer.byteLength(JSON.stringify(entry));
    if (bytes + size > FULL_BYTES) {
      messages.push([]);
      bytes = 0;
    }
    messages.at(-1)?.push(entry);
    bytes += size;
  }
  return messages.map((each) => Buffer.from(JSON.stringify({ device, entries: each })));
}

/** @throws {Malformed} */
export function readQueueNews(bytes: Uint8Array): QueueNews {
  if (bytes.length > MAX_BYTES) throw new Malformed('the states of messages are too long');
  let news: unknown;
  try {
    news = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    throw new Malformed('not JSON');
  }
  const { device, entries } = (news ?? {}) as Partial<Record<string, unknown>>;
  if (typeof device !== 'string' || !Array.isArray(entries) || !entries.every(isQueueEntry))
    throw new Malformed('not the states of messages');
  return { device, entries };
}
