import { type DeliveryClaim } from '../../delivery/index.js';
import { type DeliveryPeer, type DeliveryTurn } from '../../receiving/index.js';
import { type DeliveryControl } from '../../wire/internal.js';
import { Deliveries } from './deliveries.js';
import { MemoryDeliveryStore } from './delivery-store.js';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A connection that runs no handler by itself. */
class Peer implements DeliveryPeer {
  readonly turns: DeliveryTurn[] = [];
  readonly sent: DeliveryControl[] = [];
  readonly ends: string[] = [];
  takeTurn(turn: DeliveryTurn): void {
    turn.begin();
    this.turns.push(turn);
  }
  sendDeliveryControl(control: DeliveryControl): void {
    this.sent.push(control);
  }
  breach(reason: string): void {
    this.ends.push(reason);
  }
  replaced(): void {
    this.ends.push('replaced');
  }
}

const head = { type: 'deliver', lane: 0, seq: 1, epoch: 'E', attempt: 1, nacks: 0, ageMs: -1 } as const;

describe('Deliveries', () => {
  let lines: string[];
  let deliveries: Deliveries;
  let store: MemoryDeliveryStore;
  beforeEach(() => {
    lines = [];
    store = new MemoryDeliveryStore();
    deliveries = new Deliveries('/fedecks', { warn: (line) => lines.push(line), error: () => undefined });
  });

  it('logs a warning once, when the first device delivers', async () => {
    deliveries.keepIn(store, 'a restart forgets it');
    expect(lines).toEqual([]);
    for (const id of ['one', 'two']) deliveries.open(id, new Peer());
    await tick();
    expect(lines).toEqual(['a restart forgets it']);
  });

  it('keeps nothing of a device that has gone, when nothing runs', async () => {
    deliveries.keepIn(store);
    const peer = new Peer();
    const receiver = deliveries.open('one', peer);
    await tick();
    receiver.deliver(peer, head, Buffer.alloc(10));
    receiver.lost(peer);
    peer.turns[0]!.finish({ result: 'handled' });
    await tick();
    expect(deliveries.open('one', new Peer())).not.toBe(receiver);
    expect(store.claim('/fedecks', 'one').handled).toEqual([{ lane: 0, epoch: 'E', seq: 1 }]);
  });

  it('remembers what was handled in vain of 1,000 devices', async () => {
    deliveries.keepIn(store);
    const receivers = [];
    for (let device = 0; device <= 1_000; device++) {
      const peer = new Peer();
      const receiver = deliveries.open(`device-${device}`, peer);
      await tick();
      receiver.deliver(peer, head, Buffer.alloc(10));
      store.claim('/fedecks', `device-${device}`);
      peer.turns[0]!.finish({ result: 'handled' });
      await tick();
      expect(peer.ends).toEqual(['replaced']);
      receiver.lost(peer);
      receivers.push(receiver);
    }
    expect(deliveries.open('device-1', new Peer())).toBe(receivers[1]);
    expect(deliveries.open('device-0', new Peer())).not.toBe(receivers[0]);
  });

  it('takes the generation of an answer that comes late', async () => {
    const answers: ((claim: DeliveryClaim) => void)[] = [];
    const generations: number[] = [];
    let failures = 0;
    deliveries.keepIn({
      claim: () => {
        if (failures++ === 0) {
          return new Promise((resolve) => answers.push(resolve));
        }
        return { generation: 7, handled: [] };
      },
      setHandled: (_endpoint, _id, generation) => {
        generations.push(generation);
        return true;
      },
    });
    const peer = new Peer();
    const receiver = deliveries.open('one', peer);
    void receiver.connect(peer);
    await tick();
    answers[0]!({ generation: 8, handled: [] });
    await tick();
    expect(peer.sent).toHaveLength(1);
    receiver.deliver(peer, head, Buffer.alloc(10));
    peer.turns[0]!.finish({ result: 'handled' });
    await tick();
    expect(generations).toEqual([8]);
  });

  it('ends a connection whose claim is answered after that of a newer one', async () => {
    const answers: ((claim: DeliveryClaim) => void)[] = [];
    deliveries.keepIn({
      claim: () => new Promise((resolve) => answers.push(resolve)),
      setHandled: () => true,
    });
    const [older, newer] = [new Peer(), new Peer()];
    deliveries.open('one', older);
    deliveries.open('one', newer);
    answers[1]!({ generation: 2, handled: [] });
    await tick();
    answers[0]!({ generation: 1, handled: [] });
    await tick();
    expect([older.ends, newer.ends, newer.sent.length]).toEqual([['replaced'], [], 1]);
  });

  it('begins no handler while the app ends, and waits for what is being stored, for 1 s at most', async () => {
    let release!: (isStored: boolean) => void;
    deliveries.keepIn({
      claim: (endpoint, id) => store.claim(endpoint, id),
      setHandled: () => new Promise((resolve) => (release = resolve)),
    });
    const peer = new Peer();
    const receiver = deliveries.open('one', peer);
    await tick();
    receiver.deliver(peer, head, Buffer.alloc(10));
    receiver.deliver(peer, { ...head, seq: 2 }, Buffer.alloc(10));
    deliveries.beginToClose();
    peer.turns[0]!.finish({ result: 'handled' });
    const closing = deliveries.close();
    release(true);
    await closing;
    expect([peer.turns.length, peer.sent.map(({ type }) => type)]).toEqual([1, ['resume', 'ack']]);
  });
});

describe('MemoryDeliveryStore', () => {
  it('keeps devices of several endpoints apart', () => {
    const store = new MemoryDeliveryStore();
    const { generation } = store.claim('/one', 'device');
    store.setHandled('/one', 'device', generation, { lane: 0, epoch: 'E', seq: 1 });
    expect(store.claim('/two', 'device').handled).toEqual([]);
    expect(store.claim('/one', 'device').handled).toHaveLength(1);
  });

  it('forgets the device of which nothing came for longest, from 100,000 on', () => {
    const store = new MemoryDeliveryStore();
    const set = (id: string): boolean =>
      store.setHandled('/one', id, store.claim('/one', id).generation, { lane: 0, epoch: 'E', seq: 1 });
    for (let device = 0; device < 100_000; device++) set(String(device));
    set('0');
    set('one more');
    expect(store.claim('/one', '0').handled).toHaveLength(1);
    expect(store.claim('/one', '1').handled).toEqual([]);
    expect(store.claim('/one', '3').handled).toHaveLength(1);
  });

  it('keeps 256 MiB of messages, each name once', () => {
    const store = new MemoryDeliveryStore();
    const message = Buffer.alloc(256 * 1_024);
    const write = (name: string): void => store.writeMessage('/one', 'device', name, message);
    for (let times = 0; times < 2; times++) write('0');
    for (let name = 1; name < 1_024; name++) write(String(name));
    expect(() => write('one more')).toThrow("set 'deliveryStore' to keep more");
    store.removeMessages('/one', 'device', ['7', 'never written']);
    write('one more');
    expect(() => write('two more')).toThrow(RangeError);
  });
});
