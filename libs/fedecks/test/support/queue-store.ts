/** The store of the queues of a device, and the faults of calls to it. */
import { type DeviceQueue } from '../../src/delivery/index.js';
import { type QueueStore } from '../../src/server/deliveries/delivery-store.js';
import { type CloudNode } from './queue-node.js';
import { DEVICE, type QueueWorld } from './queue-world.js';

/** A call that is slow. */
export interface Call {
  readonly node: CloudNode;
  readonly what: string;
  isPerformed: boolean;
  /** It fails: before anything is done, or after. */
  readonly failure: 'before' | 'after' | undefined;
  perform(): void;
  answer(): void;
}

/** What is kept. */
interface Kept {
  readonly queue: DeviceQueue | undefined;
  readonly messages: ReadonlyMap<string, Uint8Array>;
}

/** Keeps the queue of one device by compare-and-set, for all nodes. */
export class SimulatedQueueStore {
  /** The calls without an answer. */
  calls: Call[] = [];
  /** How many calls are answered at once, and how many of the others fail. */
  private readonly quickness: number;
  private readonly failures: number;
  private kept: Kept = { queue: undefined, messages: new Map() };

  constructor(private readonly world: QueueWorld) {
    this.quickness = 0.3 + 0.7 * world.random();
    this.failures = 0.2 * world.random();
  }

  copy(): Kept {
    return this.kept;
  }

  restore(copy: Kept, devices: readonly string[]): void {
    this.calls = [];
    this.kept = copy;
    this.world.oracle.onRestored(this.queue, devices);
  }

  get queue(): DeviceQueue | undefined {
    return this.kept.queue;
  }

  /** The store as a node sees it. */
  of(node: CloudNode): QueueStore {
    return {
      readQueue: () => this.call(node, 'readQueue', () => this.queue),
      writeQueue: (_endpoint, _deviceId, queue, after) =>
        this.call(node, 'writeQueue', () => this.write(node, queue, after)),
      dueQueues: (_endpoint, now) =>
        this.call(node, 'dueQueues', () => {
          const { queue } = this;
          return queue && queue.dueAt <= now ? [DEVICE] : [];
        }),
      writeMessage: (_endpoint, _deviceId, name, message) =>
        this.call(node, 'writeMessage', () => this.setMessages((messages) => messages.set(name, message))),
      readMessage: (_endpoint, _deviceId, name) =>
        this.call(node, 'readMessage', () => this.kept.messages.get(name)),
      removeMessages: (_endpoint, _deviceId, names) =>
        this.call(node, 'removeMessages', () =>
          this.setMessages((messages) => {
            for (const name of names) messages.delete(name);
          }),
        ),
    };
  }

  private setMessages(change: (messages: Map<string, Uint8Array>) => void): void {
    const messages = new Map(this.kept.messages);
    change(messages);
    this.kept = { ...this.kept, messages };
  }

  private write(node: CloudNode, queue: DeviceQueue | undefined, after: number | undefined): boolean {
    if (this.queue?.revision !== after) return false;
    // As a real store, it keeps what JSON keeps.
    const kept = queue && (JSON.parse(JSON.stringify(queue)) as DeviceQueue);
    this.kept = { ...this.kept, queue: kept };
    this.world.oracle.onWritten(this.queue, node);
    return true;
  }

  private call<T>(node: CloudNode, what: string, perform: () => T): T | Promise<T> {
    const { world } = this;
    if (world.isCalm || world.random() < this.quickness) return perform();
    const dice = world.random();
    const failure = dice < this.failures ? 'before' : dice < 2 * this.failures ? 'after' : undefined;
    return new Promise((resolve, reject) => {
      let result: T;
      const call: Call = {
        node,
        what,
        isPerformed: false,
        failure,
        perform: () => {
          call.isPerformed = true;
          if (failure !== 'before') result = perform();
        },
        answer: () => {
          this.calls = this.calls.filter((each) => each !== call);
          if (!node.isAlive) return;
          if (failure) reject(new Error(`the store fails ${failure} ${what}`));
          else resolve(result);
        },
      };
      this.calls.push(call);
    });
  }
}
