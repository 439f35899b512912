import { FileOutboxStore, type FileOutboxOptions } from '../../src/client/outbox/file-outbox-store.js';
import { type Files } from '../../src/client/outbox/files.js';
import { type Moment } from '../../src/client/outbox/moment.js';
import {
  type OutboxFailure,
  type OutboxListener,
  type OutboxMessage,
  type OutboxStore,
} from '../../src/client/outbox/outbox-store.js';

export const DAY_MS = 86_400_000;
export const BOOT = 'ab'.repeat(16);
export const OTHER_BOOT = 'cd'.repeat(16);
export const WALL_MS = Date.UTC(2026, 5, 1);

/** A clock that a test sets. */
export class TestClock {
  bootId = BOOT;
  monotonicMs = 1_000;
  wallMs = WALL_MS;

  readonly now = (): Moment => ({
    bootId: this.bootId,
    monotonicMs: this.monotonicMs,
    wallMs: this.wallMs,
  });

  pass(ms: number): void {
    this.monotonicMs += ms;
    this.wallMs += ms;
  }

  /** @param offForMs by the wall clock. */
  reboot(offForMs = 60_000): void {
    this.bootId = this.bootId === BOOT ? OTHER_BOOT : BOOT;
    this.monotonicMs = 500;
    this.wallMs += offForMs;
  }
}

/** What a store has told. */
export class Told implements OutboxListener {
  readonly failures: OutboxFailure[] = [];
  readonly removed: string[] = [];

  onFailure(failure: OutboxFailure): void {
    this.failures.push(failure);
  }

  onRemoved(lane: string, seq: number, cause: string): void {
    this.removed.push(`${lane} ${seq} ${cause}`);
  }
}

export const DIRECTORY = '/outbox';

export function fileStore(
  files: Files,
  clock = new TestClock(),
  options: FileOutboxOptions = {},
): FileOutboxStore {
  return new FileOutboxStore(DIRECTORY, { segmentBytes: 2_048, ...options }, { files, now: clock.now });
}

export function message(text: string, more: Partial<OutboxMessage> = {}): OutboxMessage {
  return { lane: 'default', ttlMs: 7 * DAY_MS, message: Buffer.from(text), ...more };
}

/** The epoch of each message that waits, by its lane and number. */
export function epochs(store: OutboxStore): Record<string, string> {
  const all: Record<string, string> = {};
  for (const { lane, number } of store.state().lanes) {
    const { spans } = store.positions()[number]!;
    for (let seq = store.following(lane, 0); seq !== undefined; seq = store.following(lane, seq)) {
      all[`${lane} ${seq}`] = spans.findLast(({ from }) => from <= seq)!.epoch;
    }
  }
  return all;
}

/** All that waits: the text of each message under its lane and number. */
export async function contents(store: OutboxStore): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for (const { lane } of store.state().lanes) {
    for (let seq = store.following(lane, 0); seq !== undefined; seq = store.following(lane, seq)) {
      const record = await store.read(lane, seq);
      if (record) all[`${lane} ${seq}`] = Buffer.from(record.message).toString();
    }
  }
  return all;
}
