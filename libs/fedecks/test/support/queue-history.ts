import { SimulatedClock } from './queue-clock.js';
import { SimulatedReceiver } from './queue-device.js';
import { CloudNode } from './queue-node.js';
import { type Kind, QueueOracle } from './queue-oracle.js';
import { SimulatedQueueStore } from './queue-store.js';
import { DeviceLink, type QueueWorld } from './queue-world.js';
import { seeded } from './seeded.js';

const STEPS = 150;
/** Far more than the longest history needs until all is final. */
const MAX_LAST_STEPS = 5_000;
const MAX_LAST_MS = 3_600_000;
const DAY_MS = 24 * 60 * 60 * 1_000;
/** Two looks for what has expired. */
const SWEEPS_MS = 130_000;

interface Action {
  readonly weight: number;
  readonly run: () => void | Promise<void>;
}

/** A cloud of one to three nodes, a device (or two with the contents of one card), and what happens to them, by one seed. */
class History implements QueueWorld {
  isCalm = false;
  readonly clock = new SimulatedClock();
  readonly oracle: QueueOracle;
  nodes: readonly CloudNode[] = [];
  readonly lines: string[] = [];
  readonly random: () => number;
  private readonly store: SimulatedQueueStore;
  private readonly devices: SimulatedReceiver[] = [];
  private links: DeviceLink[] = [];
  private connections = 0;
  private backup: ReturnType<SimulatedQueueStore['copy']> | undefined;
  private readonly hasClones: boolean;
  private readonly hasRestores: boolean;
  private readonly lanes: number;
  /** How far the clocks of the nodes that are down are ahead, by their names. */
  private readonly down = new Map<string, number>();
  /** How far any clock was ahead at most. */
  private maxAheadMs = 0;

  constructor(seed: number) {
    this.random = seeded(seed);
    this.hasClones = this.random() < 0.3;
    this.hasRestores = this.random() < 0.3;
    this.lanes = this.random() < 0.2 ? 10 : 1 + Math.floor(this.random() * 3);
    this.oracle = new QueueOracle(() => this.clock.dateOf(this.maxAheadMs));
    this.store = new SimulatedQueueStore(this);
    const names = ['N', 'O', 'P'].slice(0, 1 + Math.floor(this.random() * 3));
    for (const name of names) this.down.set(name, 0);
    this.devices.push(new SimulatedReceiver(this, 'A'));
  }

  note(line: string): void {
    this.lines.push(`${Math.round(this.clock.nowMs)} ${line}`);
  }

  async play(): Promise<void> {
    for (const name of this.down.keys()) await this.start(name);
    for (let step = 0; step < STEPS; step++) await this.step([...this.progress(), ...this.faults()]);
    await this.end();
    for (let step = 0; !this.oracle.isSettled(); step++) {
      if (step > MAX_LAST_STEPS || this.clock.nowMs > MAX_LAST_MS + this.endedAtMs)
        throw new Error(`liveness: ${this.waiting().join()} wait`);
      await this.proceed();
    }
    const settledAtMs = this.clock.nowMs;
    while (this.clock.nowMs < settledAtMs + SWEEPS_MS) await this.proceed();
    await this.compare();
  }

  private endedAtMs = 0;

  private waiting(): number[] {
    return this.oracle.entries().flatMap(([id, entry]) => ('finalAt' in entry ? [] : [id]));
  }

  /** Faults are over: everybody runs, and is connected. */
  private async end(): Promise<void> {
    this.note('faults stop');
    this.isCalm = true;
    this.endedAtMs = this.clock.nowMs;
    for (const name of this.down.keys()) await this.start(name);
    for (const node of this.nodes) if (!node.isReachable) await this.on(node, () => node.reconnect());
    const [device, ...others] = this.devices.toReversed();
    for (const other of others) if (other.isOn) this.stop(other, () => other.kill(), 'is off');
    device!.isOn = true;
    // A message that was kept although `deliver` did not resolve waits for the next connection, or the next message.
    const isUnknown = this.waiting().some((id) => !this.oracle.of(id).isKept);
    if (isUnknown || this.random() < 0.5) device!.lose();
  }

  private async proceed(): Promise<void> {
    const device = this.devices.at(-1)!;
    if (!device.link || !device.link.isUpOpen) await this.connect(device);
    const actions = this.progress();
    if (actions.length > 1) await this.step(actions);
    else await this.clock.advance(MAX_LAST_MS);
    this.check();
  }

  private async step(actions: readonly Action[]): Promise<void> {
    let dice = this.random() * actions.reduce((sum, { weight }) => sum + weight, 0);
    const action = actions.find(({ weight }) => (dice -= weight) < 0) ?? actions.at(-1);
    await action?.run();
    this.check();
  }

  private check(): void {
    if (this.oracle.failure) throw new Error(this.oracle.failure);
  }

  private on(node: CloudNode, code: () => void): Promise<void> {
    return this.clock.run(node, code);
  }

  private pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)]!;
  }

  /** What happens by itself. */
  private progress(): Action[] {
    const actions: Action[] = [{ weight: 3, run: () => this.clock.advance(this.random() ** 4 * 8_000) }];
    for (const device of this.devices) {
      if (device.runs.length > 0)
        actions.push({ weight: 4, run: () => device.finish(this.pick(device.runs)) });
      if (device.writes.length > 0) actions.push({ weight: 4, run: () => device.write() });
    }
    for (const link of this.links) {
      const { up, down, node, device } = link;
      const isRead = device.link === link;
      if (link.isUpOpen && up.length > 0)
        actions.push({ weight: 5, run: () => this.on(node, () => node.receive(link, up.shift()!)) });
      // Also late packets of an older connection.
      if (device.isOn && down.length > 0)
        actions.push({ weight: 5, run: () => device.receive(link, down.shift()!) });
      // Each end finds out that the other has gone.
      if (isRead && !link.isUpOpen && down.length === 0)
        actions.push({ weight: 1, run: () => device.lose() });
      // The cloud closes a connection that is not the newest.
      const isOld = !isRead || link.number < this.connections;
      if (isOld && link.isUpOpen && up.length === 0)
        actions.push({ weight: 0.2, run: () => this.on(node, () => node.lose(link)) });
    }
    for (const node of this.nodes)
      if (node.news.length > 0) actions.push({ weight: 3, run: () => this.on(node, () => node.hear()) });
    for (const call of this.store.calls.slice(0, 4))
      actions.push({
        weight: 3,
        run: () => {
          if (!call.isPerformed) call.perform();
          // The answer may be slower.
          return this.random() < 0.8 ? this.on(call.node, () => call.answer()) : undefined;
        },
      });
    return actions;
  }

  private faults(): Action[] {
    this.links = this.links.filter(
      ({ up, down, isUpOpen, device }) => up.length + down.length > 0 || isUpOpen || device.link,
    );
    const actions: Action[] = [];
    for (const name of this.down.keys()) actions.push({ weight: 1, run: () => this.start(name) });
    for (const node of this.nodes) {
      actions.push(
        { weight: 3 / this.nodes.length, run: () => this.put(node) },
        { weight: 0.5, run: () => this.cancel(node) },
        { weight: 0.3, run: () => this.get(node) },
        { weight: 0.1, run: () => this.kill(node) },
        { weight: 0.1, run: () => this.setClock(node) },
        node.isReachable
          ? { weight: 0.2, run: () => node.disconnect() }
          : { weight: 0.6, run: () => this.on(node, () => node.reconnect()) },
      );
    }
    for (const device of this.devices) actions.push(...this.deviceFaults(device));
    if (this.hasClones && this.devices.length === 1) actions.push({ weight: 0.2, run: () => this.clone() });
    if (this.hasRestores)
      actions.push(
        { weight: 0.2, run: () => void (this.backup = this.store.copy()) },
        { weight: 0.1, run: () => this.restore() },
      );
    return actions;
  }

  private deviceFaults(device: SimulatedReceiver): Action[] {
    if (!device.isOn) return [{ weight: 2, run: () => void (device.isOn = true) }];
    const { link } = device;
    const actions: Action[] = [
      { weight: 0.5, run: () => device.sync() },
      { weight: 0.2, run: () => this.stop(device, () => device.kill(), 'is killed') },
      { weight: 0.2, run: () => this.stop(device, () => device.powerCut(), 'loses power') },
      // It may reconnect before the node has seen the end of the old connection.
      { weight: link ? 0.2 : 2, run: () => this.connect(device) },
    ];
    if (link)
      actions.push(
        { weight: 0.3, run: () => device.lose() },
        { weight: 0.3, run: () => this.on(link.node, () => link.node.lose(link)) },
        { weight: 0.2, run: () => this.cut(device, link) },
      );
    return actions;
  }

  private put(node: CloudNode): Promise<void> {
    const dice = this.random();
    const failures = dice < 0.96 ? Math.ceil(this.random() * 3) : Infinity;
    const kind: Kind = dice < 0.6 ? 'ok' : dice < 0.8 ? 'returns' : dice < 0.87 ? 'invalid' : { failures };
    const id = this.oracle.add(kind);
    const lane = `lane ${Math.floor(this.random() * this.lanes)}`;
    const key = this.random() < 0.3 ? this.pick(['k', 'l']) : undefined;
    const ttlMs = this.random() < 0.3 ? Math.ceil(this.random() * 5_000) : DAY_MS;
    this.note(`${node.name} puts ${id} into ${lane}${key === undefined ? '' : ` as ${key}`}, ttl ${ttlMs}`);
    return this.on(node, () => node.put({ id, lane, key, ttlMs }));
  }

  private async cancel(node: CloudNode): Promise<void> {
    const all = this.oracle.entries();
    if (all.length === 0) return;
    const [id, entry] = this.pick(all);
    this.note(`${node.name} cancels ${id}`);
    await this.on(node, () => node.cancel(entry));
  }

  private async get(node: CloudNode): Promise<void> {
    const all = this.oracle.entries();
    if (all.length > 0) await this.on(node, () => node.get(this.pick(all)[1], this.random() < 0.5));
  }

  private setClock(node: CloudNode): void {
    node.aheadMs = this.pick([0, -1_000, -100_000, 2_000]);
    this.maxAheadMs = Math.max(this.maxAheadMs, node.aheadMs);
    this.note(`the clock of ${node.name} is ${node.aheadMs} ms ahead`);
  }

  private async start(name: string): Promise<void> {
    this.note(`${name} starts`);
    const node = new CloudNode(this, name, this.down.get(name) ?? 0);
    this.down.delete(name);
    this.nodes = [...this.nodes, node];
    await this.on(node, () => node.start(this.store));
  }

  private kill(node: CloudNode): void {
    this.note(`${node.name} is killed`);
    for (const link of this.links) if (link.node === node) link.isUpOpen = false;
    node.isAlive = false;
    this.nodes = this.nodes.filter((each) => each !== node);
    this.down.set(node.name, node.aheadMs);
    // What is on its way to the store may still arrive.
    this.store.calls = this.store.calls.filter((call) => call.node !== node || this.random() < 0.5);
  }

  private async connect(device: SimulatedReceiver): Promise<void> {
    if (this.nodes.length === 0) return;
    device.lose();
    const node = this.pick(this.nodes);
    const link = new DeviceLink(this, ++this.connections, device, node);
    this.note(`${device.name} connects to ${node.name} (${link.number})`);
    this.links.push(link);
    device.connect(link);
    await this.on(node, () => node.onConnected(link));
  }

  private cut(device: SimulatedReceiver, { up }: DeviceLink): void {
    up.length = Math.floor(this.random() * (up.length + 1));
    device.lose();
  }

  private stop(device: SimulatedReceiver, how: () => void, words: string): void {
    this.note(`${device.name} ${words}`);
    how();
    for (const link of this.links) {
      if (link.device !== device) continue;
      link.isDownOpen = false;
      link.down.length = 0;
    }
  }

  private clone(): void {
    this.note('A is cloned to B');
    this.devices.push(this.devices[0]!.copy('B'));
  }

  private restore(): void {
    if (!this.backup) return;
    this.note('an older copy of the store is restored');
    for (const node of this.nodes) this.kill(node);
    this.store.restore(
      this.backup,
      this.devices.map(({ name }) => name),
    );
  }

  /** All that the application can ask agrees with what the store says. */
  private async compare(): Promise<void> {
    const { oracle } = this;
    const known = new Map(oracle.entries());
    for (const node of this.nodes) {
      await this.on(node, () => {
        void node.list().then((all) => {
          if (all.length !== known.size) oracle.fail(`told: ${node.name} lists ${all.length} messages`);
          for (const { event, state, attempts } of all)
            oracle.onTold(Number(event), state, attempts, `of() of ${node.name}`);
        });
      });
      for (const [id, state] of node.finals)
        if (state === undefined) oracle.fail(`told: final of ${id} has not resolved on ${node.name}`);
    }
    for (const [id, { node, state }] of oracle.settledBy)
      if (node.isAlive && node.changes.get(id) !== state)
        oracle.fail(`told: changes$ of ${node.name} has not told that ${id} is final`);
    this.check();
  }
}

/** Plays the history of a seed. Throws with the seed, the invariant that does not hold, and all that happened. */
export async function playQueueHistory(seed: number): Promise<void> {
  const history = new History(seed);
  const restore = history.clock.install();
  try {
    await history.play();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`${message}\n  HISTORY_SEED=${seed}\n  ${history.lines.join('\n  ')}`, { cause: error });
  } finally {
    restore();
  }
}
