/** `commit(tx)` of a delivery: the application keeps in its own transaction that a message is handled. */
import { Delivery, type DeliveryInfo, OnMessage } from '@fedecks/nest';
import { Injectable } from '@nestjs/common';
import { type Cloud, startCloud } from './support/cloud.js';
import { DelegatingStore } from './support/delegating-store.js';
import { Inbox } from './support/inbox.js';
import { deliver, expectAck, expectClose, openDelivering } from './support/raw-deliveries.js';
import { int, str, tuple } from './support/term-bytes.js';

/** What a transaction writes, until it commits. */
class Transaction {
  private readonly writes: (() => void)[] = [];

  write(write: () => void): void {
    this.writes.push(write);
  }

  commit(): void {
    for (const write of this.writes) write();
  }
}

class Store extends DelegatingStore {
  generation = 0;

  override claim(...all: Parameters<DelegatingStore['claim']>): ReturnType<DelegatingStore['claim']> {
    const claim = this.memory.claim(...all);
    this.generation = claim.generation;
    return claim;
  }

  setHandledIn(tx: unknown, ...all: Parameters<DelegatingStore['setHandled']>): boolean {
    (tx as Transaction).write(() => this.memory.setHandled(...all));
    return all[2] === this.generation;
  }
}

const commits = new Inbox<unknown>('commit');

@Injectable()
class Handlers {
  /** What the handler does after its commit. */
  after: (tx: Transaction) => unknown = () => undefined;

  @OnMessage('reading')
  async save(@Delivery() delivery: DeliveryInfo) {
    const tx = new Transaction();
    commits.put(await delivery.commit(tx).then(() => delivery.seq, String));
    await this.after(tx);
  }
}

const reading = tuple(str('reading'), int(1));
let cloud: Cloud;
let store: Store;
let handlers: Handlers;

async function start(deliveryStore: DelegatingStore): Promise<void> {
  cloud = await startCloud({ deliveryStore, drainMs: 0 }, [Handlers]);
  handlers = cloud.get(Handlers);
}

beforeEach(() => {
  commits.clear();
  store = new Store();
});
afterEach(() => cloud.close());

it('keeps that it is handled with the transaction, also if nothing comes after that', async () => {
  await start(store);
  handlers.after = (tx) => {
    tx.commit();
    return new Promise(() => undefined);
  };
  const peer = await openDelivering(cloud, 'one');
  peer.sendBinary(deliver(7, reading));
  expect(await commits.next()).toBe(7);
  peer.destroy();
  // As another process would read it.
  await openDelivering(cloud, 'one', [[0, 'E', 7]]);
});

it('keeps nothing when the transaction rolls back', async () => {
  await start(store);
  handlers.after = () => new Promise(() => undefined);
  const peer = await openDelivering(cloud, 'one');
  peer.sendBinary(deliver(7, reading));
  expect(await commits.next()).toBe(7);
  peer.destroy();
  await openDelivering(cloud, 'one');
});

it('is acknowledged when the handler has finished', async () => {
  await start(store);
  handlers.after = (tx) => tx.commit();
  const peer = await openDelivering(cloud, 'one');
  for (const seq of [7, 8]) {
    peer.sendBinary(deliver(seq, reading));
    await expectAck(peer, seq);
  }
});

it('is refused when another node has the device', async () => {
  await start(store);
  const peer = await openDelivering(cloud, 'one');
  void store.claim('/fedecks', 'one');
  peer.sendBinary(deliver(7, reading));
  expect(await commits.next()).toMatch('roll the transaction back');
  await expectClose(peer, 4152);
});

it('says what a store lacks that cannot join a transaction', async () => {
  await start(new DelegatingStore());
  const peer = await openDelivering(cloud, 'one');
  peer.sendBinary(deliver(7, reading));
  expect(await commits.next()).toMatch("'deliveryStore' has no method setHandledIn(tx, ...)");
  await expectAck(peer, 7);
});
