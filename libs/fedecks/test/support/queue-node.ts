import { type DeviceDelivery } from '../../src/server/deliveries/device-delivery.js';
import { ToDevices } from '../../src/server/deliveries/to-devices.js';
import { type QueueEntry } from '../../src/delivery/index.js';
import { type Machine } from './queue-clock.js';
import { type SimulatedQueueStore } from './queue-store.js';
import { DEVICE, type DeviceLink, type QueueWorld, type Up } from './queue-world.js';

/** What is put in. */
export interface Put {
  readonly id: number;
  readonly lane: string;
  readonly key: string | undefined;
  readonly ttlMs: number;
}

/** A node of the cloud, until it is killed: the real queues and senders, and what the endpoint does for them. */
export class CloudNode implements Machine {
  isAlive = true;
  isReachable = true;
  /** The newest connection of the device to this node. */
  peer: DeviceLink | undefined;
  /** What other nodes have announced. */
  news: string[] = [];
  /** The final state of each message that `changes$` has told, and that `final` has resolved with. */
  readonly changes = new Map<number, string>();
  readonly finals = new Map<number, string | undefined>();
  private readonly toDevices: ToDevices;

  constructor(
    private readonly world: QueueWorld,
    readonly name: string,
    public aheadMs: number,
  ) {
    this.toDevices = new ToDevices('/fedecks', {
      peerOf: () => this.peer,
      deviceIds: () => (this.peer ? [DEVICE] : []),
      announce: (_deviceId, entries) => this.announce(entries),
      onState: () => undefined,
      onFailure: (what, error) => this.world.note(`${this.name} failed at ${what}: ${String(error)}`),
    });
  }

  start(store: SimulatedQueueStore): void {
    const { oracle } = this.world;
    this.toDevices.keepIn(store.of(this));
    this.toDevices.changes$.subscribe(({ event, state, attempts, finalAt }) => {
      const id = Number(event);
      oracle.onTold(id, state, attempts, `changes$ of ${this.name}`);
      // An older state may come later, from another node.
      if (finalAt) this.changes.set(id, state);
    });
  }

  private announce(entries: readonly QueueEntry[]): boolean {
    if (!this.isReachable) return false;
    for (const node of this.world.nodes)
      if (node !== this && node.isAlive && node.isReachable) node.news.push(JSON.stringify(entries));
    return true;
  }

  hear(): void {
    this.toDevices.onChangeElsewhere(DEVICE, JSON.parse(this.news.shift()!) as QueueEntry[]);
  }

  disconnect(): void {
    this.isReachable = false;
    this.news = [];
  }

  reconnect(): void {
    this.isReachable = true;
    void this.toDevices.onReachable();
  }

  // --- The application ---

  put({ id, ...options }: Put): void {
    const message = Buffer.from(`${id}`);
    const { oracle } = this.world;
    this.toDevices.put(DEVICE, { event: `${id}`, message, ...options }).then(
      (delivery) => this.onKept(id, delivery),
      (error: unknown) => {
        this.world.note(`${this.name} rejects ${id}: ${String(error)}`);
        oracle.of(id).isRejected = true;
      },
    );
  }

  private onKept(id: number, delivery: DeviceDelivery): void {
    this.world.oracle.onKept(id);
    this.watch(delivery);
  }

  watch(delivery: DeviceDelivery): void {
    const id = Number(delivery.event);
    const { oracle } = this.world;
    this.finals.set(id, undefined);
    delivery.final.then(
      ({ state, attempts }) => {
        oracle.onTold(id, state, attempts, `final of ${this.name}`);
        this.finals.set(id, state);
      },
      () => this.finals.delete(id),
    );
  }

  /** @param isWatched whether to wait for its final state. */
  get(entry: QueueEntry, isWatched: boolean): void {
    void this.toDevices.get(DEVICE, entry).then((delivery) => {
      if (!delivery) return this.world.oracle.fail(`told: ${this.name} does not know ${entry.event}`);
      this.world.oracle.onTold(Number(entry.event), delivery.state, delivery.attempts, `get of ${this.name}`);
      if (isWatched) this.watch(delivery);
    }, ignore);
  }

  cancel(entry: QueueEntry): void {
    const { oracle } = this.world;
    oracle.of(Number(entry.event)).isCancelWanted = true;
    void this.toDevices.cancel(DEVICE, entry).then((delivery) => {
      if (!delivery?.finalAt && !delivery?.isCancelled)
        oracle.fail(`cancelled: ${this.name} has not cancelled ${entry.event}`);
    }, ignore);
  }

  /** What the node says of all messages, when there are no faults. */
  list(): Promise<DeviceDelivery[]> {
    return this.toDevices.of(DEVICE);
  }

  // --- The connection ---

  onConnected(link: DeviceLink): void {
    this.peer = link;
    this.toDevices.onConnected(DEVICE, link);
  }

  lose(link: DeviceLink): void {
    link.isUpOpen = false;
    if (this.peer === link) this.peer = undefined;
    this.toDevices.onEnded(DEVICE, link);
  }

  receive(link: DeviceLink, message: Up): void {
    if (link !== this.peer) return this.lose(link);
    if (message.type !== 'resume') {
      const sender = this.toDevices.senderOf(DEVICE, link);
      if (sender) sender.onReply(message);
      else link.breach(`nothing was delivered, and ${message.type} comes`);
      return;
    }
    link.deviceResume = message;
    link.beginDeliveries();
    this.toDevices.senderOf(DEVICE, link)?.look();
  }
}

/** The store has failed: the application is told. */
function ignore(): void {}
