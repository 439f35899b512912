/**
 * Queues of devices, written out by hand.
 *
 *     deviceQueue({ revision: 1, seqs: [1, 2] });        // two messages wait in lane 0
 */
import { type DeviceQueue } from '../../src/delivery/index.js';

export const LATER = 4_000_000_000_000;

export function deviceQueue({
  revision,
  dueAt = LATER,
  seqs = [],
}: {
  readonly revision: number;
  readonly dueAt?: number;
  /** The numbers of the messages that wait. */
  readonly seqs?: readonly number[];
}): DeviceQueue {
  return {
    revision,
    dueAt,
    lanes: [
      { lane: 0, name: 'default', last: Math.max(0, ...seqs), spans: [{ epoch: 'E', from: seqs[0] ?? 1 }] },
    ],
    waiting: seqs.map((seq) => ({
      lane: 0,
      epoch: 'E',
      seq,
      event: 'update',
      message: `m${seq}`,
      queuedAt: 1_800_000_000_000,
      expiresAt: dueAt,
      attempts: 0,
    })),
    final: [
      {
        lane: 0,
        epoch: 'D',
        seq: 1,
        event: 'update',
        key: 'ключ',
        queuedAt: 1_700_000_000_000,
        sentAt: 1_700_000_000_001,
        attempts: 2,
        state: 'done',
        result: 'gw==',
        finalAt: 1_700_000_000_002,
      },
    ],
  };
}
