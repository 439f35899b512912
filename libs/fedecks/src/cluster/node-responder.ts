import { type BackplaneEndpoint, type CloneTrace, type ReplacedProcess } from '../server/index.js';
import { beginsAsTerm } from '../wire/internal.js';
import { EXECUTED, NOT_EXECUTED } from './node-requests.js';
import { Freshness } from './freshness.js';
import { type Link, Malformed, type Message } from './link.js';
import { type PresenceWriter } from './presence-writer.js';
import { type Rank } from './rank.js';
import { type Subjects } from './subjects.js';

/** The first byte of a message to the node that holds a device. */
export const REQUEST_KIND = { push: 1, disconnect: 2, handOver: 4, compare: 5 } as const;

/** The maximum size of a request, including the longest device id. */
const MAX_QUESTION_BYTES = 16 * 1024;

/** Executes requests of other nodes for devices that this node holds: the counterpart of `NodeRequests`. */
export class NodeResponder {
  /** Results by reply address, so that a retried request is executed once. */
  private outcomes = new Map<string, boolean | Promise<boolean>>();
  private outcomesBefore: typeof this.outcomes = new Map();
  private forgetting: NodeJS.Timeout | undefined;
  private freshness: Freshness | undefined;

  constructor(
    private readonly link: Link,
    private readonly subjects: Subjects,
    private readonly endpoint: BackplaneEndpoint,
    private readonly writer: PresenceWriter,
  ) {}

  /** @param goodForMs the requester's timeout, after which it does not retry. */
  start(goodForMs: number): void {
    this.freshness = new Freshness(this.link, goodForMs);
    this.freshness.start();
    this.forgetting = setInterval(() => {
      this.outcomesBefore = this.outcomes;
      this.outcomes = new Map();
    }, goodForMs).unref();
  }

  stop(): void {
    this.freshness?.stop();
    clearInterval(this.forgetting);
  }

  /** Handles a request to the holder of a device. @throws {Malformed} */
  readonly onRequest = (message: Message): void => {
    const id = this.subjects.textOf(message.subject);
    if (message.revision !== undefined) {
      this.writer.onCommitted(id, message.revision);
      return;
    }
    const bytes = Buffer.from(message.data.buffer, message.data.byteOffset, message.data.byteLength);
    const kind = bytes[0];
    if (kind === REQUEST_KIND.push && beginsAsTerm(bytes, 1) && message.reply)
      this.once(message, () => this.endpoint.write(id, bytes.subarray(1)));
    else if (bytes.length !== 1) throw new Malformed('not a known request');
    else if (kind === REQUEST_KIND.disconnect) this.once(message, () => this.endpoint.disconnect(id));
    else if (kind === REQUEST_KIND.compare) this.writer.lookAt(id);
    else if (kind === REQUEST_KIND.handOver) {
      this.writer.takeOver(id);
      this.answer(message, true);
    } else throw new Malformed('not a known request');
  };

  /**
   * Answers whether this node holds a connection that stays over the one of the node that asks, or hears which processes
   * of a device came before the one that it holds. @throws {Malformed}
   */
  readonly onQuestion = (message: Message): void => {
    const { id, over, trace } = readForNode(message.data);
    if (isRank(over)) this.answer(message, this.writer.holds(id, over));
    else if (isTrace(trace)) this.endpoint.onTrace(id, trace);
    else throw new Malformed('not a known request');
  };

  /** Answers pending requests after this node has released its devices. */
  async finish(): Promise<void> {
    await this.link.flush();
    await Promise.all([...this.outcomes.values(), ...this.outcomesBefore.values()]);
    await this.link.flush();
  }

  /** @param act undefined if this node does not hold the device. */
  private once(message: Message, act: () => boolean | Promise<boolean> | undefined): void {
    const address = message.reply ?? '';
    // A possibly expired request is not executed: a waiting requester retries.
    const outcome =
      this.outcomes.get(address) ??
      this.outcomesBefore.get(address) ??
      (this.freshness?.isStale() ? undefined : act());
    if (outcome === undefined) {
      this.answer(message, false);
      return;
    }
    this.outcomes.set(address, outcome);
    void Promise.resolve(outcome).then((written) => {
      // Certainly not written, so a retry may execute it.
      if (!written) this.outcomes.delete(address);
      // Frames of one tick are flushed at its end: answer after that, in case this process is killed.
      process.nextTick(() => this.answer(message, written));
    });
  }

  private answer(message: Message, done: boolean): void {
    // If the connection was lost meanwhile, nobody receives the answer.
    if (this.link.isUp && message.reply !== undefined)
      this.link.publish(message.reply, done ? EXECUTED : NOT_EXECUTED);
  }
}

/** What one node asks another: whether it holds a connection of the device that stays over this one. */
export function encodeHoldsQuestion(id: string, over: Rank): Uint8Array {
  return Buffer.from(JSON.stringify({ id, over }));
}

/** What a node tells the one that holds a device now: which processes of it came before. */
export function encodeTrace(id: string, { replaced, isSuspected }: CloneTrace): Uint8Array {
  return Buffer.from(JSON.stringify({ id, trace: { replaced, isSuspected } }));
}

/** What is for one node. */
interface ForNode {
  readonly id: string;
  readonly over: unknown;
  readonly trace: unknown;
}

function readForNode(bytes: Uint8Array): ForNode {
  if (bytes.length > MAX_QUESTION_BYTES) throw new Malformed('the request is too long');
  let message: unknown;
  try {
    message = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    throw new Malformed('not JSON');
  }
  const { id, over, trace } = (message ?? {}) as Record<string, unknown>;
  if (typeof id !== 'string') throw new Malformed('not a known request');
  return { id, over, trace };
}

function isRank(value: unknown): value is Rank {
  const { time, node } = (value ?? {}) as Record<string, unknown>;
  return Number.isSafeInteger(time) && typeof node === 'string';
}

function isTrace(value: unknown): value is CloneTrace {
  const { replaced, isSuspected } = (value ?? {}) as Record<string, unknown>;
  return typeof isSuspected === 'boolean' && Array.isArray(replaced) && replaced.every(isReplaced);
}

function isReplaced(value: unknown): value is ReplacedProcess {
  const { process, remoteAddress } = (value ?? {}) as Record<string, unknown>;
  return typeof process === 'string' && typeof remoteAddress === 'string';
}
