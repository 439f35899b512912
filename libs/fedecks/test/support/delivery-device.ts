import {
  nextSender,
  openSender,
  type SenderEffect,
  type SenderEvent,
  type SenderState,
} from '../../src/delivery/index.js';
import { type SimulatedOutbox } from './delivery-stores.js';
import { type Link, type Reply, type World } from './delivery-world.js';

/** The size of a message. */
function sizeOf(id: number): number {
  return 20 + ((id * 7_919) % 6_000);
}

/** A sender: its store, its process if it runs, and its connection. */
export class SimulatedDevice {
  sender: SenderState | undefined;
  link: Link | undefined;
  wakeAtMs: number | undefined;
  loads: { lane: number; seq: number }[] = [];
  /** The messages put in since the process began. */
  private fresh = new Set<number>();
  private hasResumed = false;
  private readonly retries = new Map<string, number>();
  private epochs = 0;
  private rollbacks = 0;

  constructor(
    private readonly world: World,
    readonly name: string,
    public outbox: SimulatedOutbox,
  ) {}

  start(): void {
    const epoch = `${this.name}${++this.epochs}`;
    this.sender = openSender(this.outbox.open(epoch));
    this.world.note(`${this.name} opens ${epoch}`);
  }

  stop(): void {
    this.sender = undefined;
    this.link = undefined;
    this.wakeAtMs = undefined;
    this.loads = [];
    this.fresh = new Set();
    this.retries.clear();
  }

  /** Which copy of a store this is. */
  get source(): string {
    return `${this.name} ${this.rollbacks}`;
  }

  /** An older copy of the store takes the place of this one. */
  rollBack(older: SimulatedOutbox): void {
    this.stop();
    this.outbox = older;
    this.rollbacks++;
  }

  put(lane: number, id: number): void {
    const position = this.outbox.put(lane, id);
    this.world.oracle.name(id, lane, position);
    this.fresh.add(id);
    this.dispatch({ type: 'put', lane, ...position });
  }

  loaded(lane: number, seq: number): void {
    this.dispatch({ type: 'loaded', lane, seq, bytes: sizeOf(this.outbox.idOf(lane, seq)) });
  }

  /** The store drops a message. */
  drop(lane: number, seq: number): void {
    this.dispatch({ type: 'dropped', lane, seq, outcome: 'expired', code: 'ttl' });
  }

  connect(link: Link): void {
    this.link = link;
    this.hasResumed = false;
    this.dispatch({ type: 'connected', connection: link.number });
  }

  lose(): void {
    const { link } = this;
    if (!link) return;
    this.link = undefined;
    this.dispatch({ type: 'lost', connection: link.number });
  }

  receive(link: Link, reply: Reply): void {
    if (link === this.link) this.observe(link, reply);
    const { number: connection } = link;
    if (reply.do === 'resume') this.dispatch({ type: 'resume', ...reply, connection });
    else if (reply.do === 'ack') this.dispatch({ type: 'ack', ...reply, connection });
    else this.dispatch({ type: 'nack', ...reply, connection });
  }

  holdsAny(): boolean {
    return [...(this.sender?.lanes.values() ?? [])].some(({ held }) => held.length > 0);
  }

  /** The messages before this one in its lane that have no outcome. */
  before(lane: number, seq: number): number[] {
    const held = this.sender?.lanes.get(lane)?.held ?? [];
    return held
      .flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, index) => from + index))
      .filter((each) => each < seq)
      .map((each) => this.outbox.idOf(lane, each));
  }

  dispatch(event: SenderEvent): void {
    if (!this.sender) return;
    const { state, effects } = nextSender(this.sender, event, this.world.now);
    this.sender = state;
    for (const effect of effects) this.perform(effect);
  }

  private observe(link: Link, reply: Reply): void {
    if (reply.do === 'resume') this.hasResumed = true;
    if (reply.do === 'ack') {
      const underWay = link.underWay.get(reply.lane)?.filter(({ seq }) => seq > reply.seq) ?? [];
      link.underWay.set(reply.lane, underWay);
      link.grants.set(reply.lane, reply.grant);
    }
    if (reply.do === 'nack') {
      link.underWay.set(reply.lane, []);
      if (reply.code === 'failed') this.retries.set(`${reply.lane}/${reply.seq}`, this.world.now + 1_000);
    }
  }

  private perform(effect: SenderEffect): void {
    const { world, outbox } = this;
    switch (effect.do) {
      case 'load':
        this.loads.push(effect);
        return;
      case 'wake':
        this.wakeAtMs = effect.atMs;
        return;
      case 'deliver':
        this.send(effect);
        return;
      case 'settle':
        world.note(`${this.name} settles ${effect.lane}: ${effect.from}-${effect.to} ${effect.outcome}`);
        for (let { from: seq } = effect; seq <= effect.to; seq++) {
          const id = outbox.idOf(effect.lane, seq);
          if (!outbox.holds(effect.lane, seq)) throw new Error(`one outcome: ${id} has a second one`);
          outbox.settle(effect.lane, seq);
          world.oracle.onOutcome(id, effect.outcome, effect.code, this.fresh.has(id));
        }
        return;
      case 'renumber':
      case 'close':
        throw new Error(`peers: ${this.name} wants to ${JSON.stringify(effect)}`);
    }
  }

  private send(effect: Extract<SenderEffect, { do: 'deliver' }>): void {
    const { link, world } = this;
    const { lane, seq } = effect;
    if (!link || !this.hasResumed) throw new Error(`resume: ${this.name} delivers before the peer's resume`);
    if (world.now < (this.retries.get(`${lane}/${seq}`) ?? 0))
      throw new Error(`backoff: ${lane}/${seq} is too early`);
    const id = this.outbox.idOf(lane, seq);
    const bytes = sizeOf(id);
    const underWay = [...(link.underWay.get(lane) ?? []), { seq, bytes }];
    link.underWay.set(lane, underWay);
    const grant = link.grants.get(lane);
    const sum = underWay.reduce((total, each) => total + each.bytes, 0);
    if (underWay.length > 1 && grant && (underWay.length > grant.messages || sum > grant.bytes))
      throw new Error(`window: ${underWay.length} messages, ${sum} bytes in lane ${lane}`);
    world.note(`${this.name} delivers ${lane}/${seq} (${id}), attempt ${effect.attempt}`);
    link.up.push({ ...effect, bytes, id });
  }
}
