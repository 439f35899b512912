import { OptionsCheck } from '../../options/index.js';
import { FileOutboxStore } from './file-outbox-store.js';
import { type OutboxStore } from './outbox-store.js';

/** The outbox of a client: where it is, and how much it may hold. */
export interface OutboxOptions {
  /** Made with mode 0700 if need be. It must not be used for anything else. */
  readonly directory: string;

  /** @default 10_000 */
  readonly maxMessages?: number;

  /**
   * The bytes of all that waits, with about 70 for each message.
   * @default 16_777_216, which is 16 MiB
   */
  readonly maxBytes?: number;

  /**
   * What happens when there is no room for a message: `drop-oldest` drops the oldest ones of the lane with the most,
   * `reject` rejects the new one with `OutboxFullError`.
   * @default 'drop-oldest'
   */
  readonly full?: 'drop-oldest' | 'reject';

  /**
   * How long what is written may wait for the disk to flush it, in milliseconds.
   * @default 1_000
   */
  readonly syncMs?: number;
}

const OPTIONS = ['directory', 'maxMessages', 'maxBytes', 'full', 'syncMs'] as const;
const METHODS = [
  'open',
  'append',
  'read',
  'following',
  'remove',
  'acknowledge',
  'expired',
  'state',
  'numberOf',
  'positions',
  'newEpoch',
  'flush',
  'close',
] as const satisfies readonly (keyof OutboxStore)[];

/** @returns a store, or what is wrong with what was given. */
export function resolveOutbox(given: unknown): {
  readonly store?: OutboxStore;
  readonly problems: readonly string[];
} {
  if (typeof given === 'string') return resolveOutbox({ directory: given });
  if (typeof given !== 'object' || given === null) {
    return {
      problems: [
        "'outbox' must be the path of a directory, an object with a 'directory' and limits, or a store of your own.",
      ],
    };
  }
  if ('append' in given) {
    const missing = METHODS.filter((method) => typeof (given as Partial<OutboxStore>)[method] !== 'function');
    if (missing.length === 0) return { store: given as OutboxStore, problems: [] };
    return { problems: [`'outbox' is a store without ${missing.map((name) => `${name}()`).join(', ')}.`] };
  }
  const options = given as OutboxOptions;
  const check = new OptionsCheck<OutboxOptions>('outbox', given, OPTIONS);
  if (typeof options.directory !== 'string' || options.directory === '')
    check.problem("'directory' must be the path of a directory.");
  check.whole('maxMessages', 'messages', 1);
  check.whole('maxBytes', 'bytes', 1_024);
  check.whole('syncMs', 'milliseconds', 1, 60_000);
  check.oneOf('full', ['drop-oldest', 'reject']);
  const problems = check.list().map((problem) => `'outbox': ${problem}`);
  if (problems.length > 0) return { problems };
  const { directory, ...limits } = options;
  return { store: new FileOutboxStore(directory, limits), problems };
}
