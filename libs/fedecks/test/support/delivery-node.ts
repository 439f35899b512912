import {
  INITIAL_RECEIVER,
  nextReceiver,
  type HandledPosition,
  type Position,
  type ReceiverEffect,
  type ReceiverEvent,
  type ReceiverState,
  type Window,
} from '../../src/delivery/index.js';
import { type Delivery, type Link, type World } from './delivery-world.js';

interface Run extends HandledPosition {
  readonly id: number;
  readonly connection: number;
}

/** A receiver: a node of the cloud. */
export class SimulatedNode {
  receiver: ReceiverState = INITIAL_RECEIVER;
  runs: Run[] = [];
  /** Writes on their way to the store, and its answers on their way back. */
  writes: Extract<ReceiverEffect, { do: 'store' }>[] = [];
  answers: Extract<ReceiverEvent, { type: 'stored' | 'refused' }>[] = [];
  /** What a handler has handled and the store does not have yet. */
  private unstored: Run[] = [];
  /** Which copy of a store has connected here last. */
  private source: string | undefined;
  /** By lane and connection, what it has handled since another node holds the device. */
  private readonly late = new Set<string>();

  constructor(
    private readonly world: World,
    readonly name: string,
  ) {}

  kill(): void {
    for (const { id } of this.unstored) this.world.oracle.excuse(id, `${this.name} was killed`);
    this.receiver = INITIAL_RECEIVER;
    this.runs = [];
    this.writes = [];
    this.answers = [];
    this.unstored = [];
  }

  claim(link: Link, grant: Window): void {
    const handled = this.world.handled.claim(link.number);
    if (!handled) {
      link.isUpOpen = false;
      return;
    }
    link.isClaimed = true;
    this.late.clear();
    const { source } = link.device;
    for (const node of this.world.nodes) if (node !== this || source !== this.source) node.onTakenOver();
    this.source = source;
    for (let lane = 0; lane < 8; lane++) link.grants.set(lane, grant);
    this.dispatch({ type: 'connected', connection: link.number, handled, grant });
  }

  /** Another node, or another copy of the store, holds the connection now. What runs here is handled there as well. */
  onTakenOver(): void {
    this.late.clear();
    for (const { id } of [...this.runs, ...this.unstored])
      this.world.oracle.excuse(id, `${this.name} handled it when the device moved`);
  }

  /** A rejected message that comes back goes first, so what was handled here, and is not stored, is delivered anew. */
  onNumbersBack(lanes: ReadonlySet<number>): void {
    const waiting = [...this.receiver.lanes.values()].flatMap(({ lane, queue }) =>
      queue.map((each) => ({ lane, id: this.world.oracle.idAt(lane, each) })),
    );
    const underWay = this.world.links.flatMap(({ node, up }) => (node === this ? up : []));
    for (const { id, lane } of [...this.runs, ...this.unstored, ...waiting, ...underWay])
      if (lanes.has(lane)) this.world.oracle.excuse(id, 'a power cut brought back what came before it');
  }

  finish(run: Run): void {
    const { oracle } = this.world;
    this.runs = this.runs.filter((each) => each !== run);
    const message = oracle.of(run.id);
    const { lane, epoch, seq } = run;
    const position = { lane, epoch, seq };
    if (message.kind === 'invalid') {
      this.dispatch({ type: 'finished', ...position, result: 'invalid', text: 'no number' });
    } else if (message.kind !== 'ok' && message.failed < message.kind.failures) {
      message.failed++;
      this.dispatch({ type: 'finished', ...position, result: 'failed', text: 'no database' });
    } else {
      this.unstored.push(run);
      if (!this.isOwner()) {
        // It cannot know that the device is elsewhere, until it tries to store.
        const key = `${lane} of ${run.connection}`;
        if (this.late.has(key))
          throw new Error(`owner: ${this.name} goes on with lane ${key} after it lost the device`);
        this.late.add(key);
      }
      this.world.note(`${this.name} handled ${run.id}`);
      oracle.onHandled(run.id);
      this.dispatch({ type: 'finished', ...position, result: 'handled' });
    }
  }

  write(): void {
    const { connection, lane, epoch, seq } = this.writes.shift()!;
    const position: Position = { epoch, seq };
    const isStored = this.world.handled.store(connection, lane, position);
    const { sources, oracle, links } = this.world;
    const { source } = links[connection - 1]!.device;
    const before = sources.get(lane);
    if (isStored) sources.set(lane, source);
    if (isStored && before !== undefined && before !== source) {
      // The store keeps one position for each lane, so what the other copy has not heard of is handled again.
      for (const message of oracle.messages)
        if (message.lane === lane) oracle.excuse(message.id, 'the position of another copy was kept');
    }
    this.world.note(`${this.name} ${isStored ? 'stored' : 'could not store'} ${lane}: ${epoch}/${seq}`);
    if (isStored) {
      const id = oracle.idAt(lane, position);
      oracle.onStored(id);
      this.unstored = this.unstored.filter((run) => run.id !== id);
    }
    this.answers.push({ type: isStored ? 'stored' : 'refused', connection, lane, ...position });
  }

  receive(link: Link, { lane, seq, epoch, attempt, nacks, bytes, id }: Delivery): void {
    link.arrived.set(`${lane}/${seq}`, id);
    this.dispatch({ type: 'deliver', connection: link.number, lane, seq, epoch, attempt, nacks, bytes });
  }

  dispatch(event: ReceiverEvent): void {
    const { state, effects } = nextReceiver(this.receiver, event, this.world.now);
    this.receiver = state;
    for (const effect of effects) this.perform(effect);
  }

  private perform(effect: ReceiverEffect): void {
    const link = this.world.links.find(({ number }) => number === this.receiver.connection);
    switch (effect.do) {
      case 'resume':
      case 'nack':
        link!.down.push(effect);
        return;
      case 'ack':
        this.world.oracle.onAck(link!.arrived.get(`${effect.lane}/${effect.seq}`)!);
        link!.down.push(effect);
        return;
      case 'store':
        this.writes.push(effect);
        return;
      case 'stop':
        link!.isUpOpen = false;
        return;
      case 'handle':
        this.handle(link!, effect);
        return;
      case 'close':
        throw new Error(`peers: ${this.name} closes: ${effect.reason}`);
    }
  }

  private handle(link: Link, { lane, epoch, seq }: Extract<ReceiverEffect, { do: 'handle' }>): void {
    const { oracle, handled } = this.world;
    const id = oracle.idAt(lane, { epoch, seq });
    if (this.runs.some((run) => run.lane === lane))
      throw new Error(`order: two handlers of lane ${lane} at ${this.name}`);
    this.world.note(`${this.name} handles ${lane}: ${epoch}/${seq} (${id})`);
    this.runs.push({ id, lane, epoch, seq, connection: link.number });
    if (!this.isOwner()) oracle.excuse(id, `${this.name} had lost the device`);
    else if (handled.connection === link.number && link.device.link === link)
      oracle.onStart(id, link.device.before(lane, seq));
  }

  private isOwner(): boolean {
    return this.world.links[this.world.handled.connection - 1]?.node === this;
  }
}
