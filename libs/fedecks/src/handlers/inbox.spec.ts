import { HandlerRunner, type ResultSink } from '../results/index.js';
import { type Handler } from './router.js';
import { Inbox, type InboxOwner, LONG_RUN_MS } from './inbox.js';

/** Handles numbers with the given handler, and records the calls. */
class Owner implements InboxOwner<number>, ResultSink {
  readonly device = { id: 'nerves-242a' };
  readonly events: string[] = [];
  handler = handler(() => undefined);
  readonly runner = new HandlerRunner(this);
  readonly inbox = new Inbox<number>({ messages: 4, bytes: 100 }, this);

  handle(message: number): void {
    this.inbox.run(this.handler, message, this.runner);
  }

  onReady(): void {
    this.events.push('ready');
    while (this.inbox.ready) this.inbox.step();
  }

  onFailure(error: unknown): void {
    this.events.push(`failed: ${(error as Error).message}`);
  }

  onStall({ name }: Handler): void {
    this.events.push(`stalled: ${name}`);
  }

  send(term: unknown): void {
    this.events.push(`sent: ${String(term)}`);
  }

  stop = (): void => undefined;
  drained = (): undefined => undefined;
}

function handler(call: (payload: unknown) => unknown, name = 'Greenhouse.record'): Handler {
  return { name, kind: { kind: 'any' }, call };
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Inbox', () => {
  let owner: Owner;
  beforeEach(() => (owner = new Owner()));

  /** Holds each message until its returned function is called. */
  function waitForEach(): (() => void)[] {
    const finish: (() => void)[] = [];
    owner.handler = handler((payload) => {
      owner.events.push(`begins ${String(payload)}`);
      return new Promise<void>((resolve) => finish.push(resolve));
    });
    return finish;
  }

  it('handles messages synchronously when possible, and sends the results', () => {
    owner.handler = handler((payload) => Number(payload) * 2);
    for (const message of [1, 2]) owner.inbox.take(message, 10);
    expect(owner.events).toEqual(['sent: 2', 'sent: 4']);
    expect(owner.inbox.idle).toBe(true);
  });

  it('handles one message after another, in order', async () => {
    const finish = waitForEach();
    for (const message of [1, 2, 3]) owner.inbox.take(message, 10);
    expect(owner.events).toEqual(['begins 1']);
    finish[0]!();
    await tick();
    expect(owner.events).toEqual(['begins 1', 'ready', 'begins 2']);
    finish[1]!();
    await tick();
    expect(owner.events.at(-1)).toBe('begins 3');
  });

  it('is full with the maximum number of messages, and has room when half are handled', async () => {
    const finish = waitForEach();
    owner.inbox.take(0, 10);
    for (const message of [1, 2, 3]) owner.inbox.take(message, 1);
    expect(owner.inbox.full).toBe(false);
    owner.inbox.take(4, 1);
    expect([owner.inbox.full, owner.inbox.length]).toEqual([true, 4]);
    for (const index of [0, 1]) {
      expect(owner.inbox.roomy).toBe(false);
      finish[index]!();
      await tick();
    }
    expect(owner.inbox.roomy).toBe(true);
  });

  it('is full with the maximum number of bytes', async () => {
    const finish = waitForEach();
    owner.inbox.take(0, 1_000);
    expect(owner.inbox.bytes).toBe(0);
    owner.inbox.take(1, 99);
    expect(owner.inbox.full).toBe(false);
    owner.inbox.take(2, 1);
    expect([owner.inbox.full, owner.inbox.bytes]).toEqual([true, 100]);
    finish[0]!();
    await tick();
    expect([owner.inbox.full, owner.inbox.roomy, owner.inbox.bytes]).toEqual([false, true, 1]);
  });

  it('defers a message when asked to, even without one before it', () => {
    owner.handler = handler(() => 'handled');
    owner.inbox.defer(7, 10);
    expect([owner.events, owner.inbox.ready, owner.inbox.next]).toEqual([[], true, 7]);
    owner.inbox.step();
    expect([owner.events, owner.inbox.idle, owner.inbox.next]).toEqual([['sent: handled'], true, undefined]);
  });

  it('calls other handlers, and resolves done(), after all queued messages', async () => {
    const finish = waitForEach();
    owner.inbox.take(1, 10);
    owner.inbox.call(
      handler((payload) => void owner.events.push(`gone: ${String(payload)}`)),
      'lost',
      owner.runner,
    );
    void owner.inbox.done().then(() => owner.events.push('done'));
    await tick();
    expect(owner.events).toEqual(['begins 1']);
    finish[0]!();
    await tick();
    expect(owner.events).toEqual(['begins 1', 'ready', 'gone: lost', 'done']);
  });

  it('reports what a handler throws or rejects with, and goes on', async () => {
    owner.handler = handler((payload) => {
      if (payload === 1) throw new Error('thrown');
      return Promise.reject(new Error('rejected'));
    });
    for (const message of [1, 2, 3]) owner.inbox.take(message, 10);
    await tick();
    expect(owner.events.filter((event) => event !== 'ready')).toEqual([
      'failed: thrown',
      'failed: rejected',
      'failed: rejected',
    ]);
    expect(owner.inbox.idle).toBe(true);
  });

  it('reports what the owner throws while it routes a message', () => {
    owner.handle = () => {
      throw new Error('a type guard failed');
    };
    owner.inbox.take(1, 10);
    expect(owner.events).toEqual(['failed: a type guard failed']);
  });

  it('reports a handler that runs for 60 s, once', async () => {
    const finish = waitForEach();
    owner.inbox.watch(0);
    owner.inbox.take(1, 10);
    owner.inbox.watch(1_000);
    owner.inbox.watch(1_000 + LONG_RUN_MS - 1);
    expect(owner.events).toEqual(['begins 1']);
    owner.inbox.watch(1_000 + LONG_RUN_MS);
    owner.inbox.watch(1_000 + 2 * LONG_RUN_MS);
    expect(owner.events).toEqual(['begins 1', 'stalled: Greenhouse.record']);
    finish[0]!();
    await tick();
    owner.inbox.watch(1_000 + 3 * LONG_RUN_MS);
    expect(owner.events).toEqual(['begins 1', 'stalled: Greenhouse.record', 'ready']);
  });
});
