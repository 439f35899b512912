import { DeliveryOracle, type Kind } from './delivery-oracle.js';
import { SimulatedDevice } from './delivery-device.js';
import { SimulatedNode } from './delivery-node.js';
import { Link, type World } from './delivery-world.js';
import { SimulatedHandledStore, SimulatedOutbox } from './delivery-stores.js';
import { seeded } from './seeded.js';

const LANES = 3;
const STEPS = 300;
/** Far more than the longest history needs until its queues are empty. */
const MAX_LAST_STEPS = 20_000;

interface Action {
  readonly weight: number;
  readonly run: () => void;
}

/** A device (or two with one store's contents), three nodes, and what happens to them, all by one seed. */
class History implements World {
  now = 1_000;
  readonly oracle = new DeliveryOracle();
  readonly handled = new SimulatedHandledStore();
  readonly links: Link[] = [];
  readonly sources = new Map<number, string>();
  readonly lines: string[] = [];
  private readonly random: () => number;
  private readonly devices: SimulatedDevice[] = [];
  readonly nodes: readonly SimulatedNode[] = ['N', 'O', 'P'].map((name) => new SimulatedNode(this, name));
  /** Whether copies of the store may come to life: then more may be handled twice. */
  private readonly hasForks: boolean;
  private backup: SimulatedOutbox | undefined;

  constructor(seed: number) {
    this.random = seeded(seed);
    this.hasForks = this.random() < 0.4;
    this.devices.push(new SimulatedDevice(this, 'A', new SimulatedOutbox(LANES)));
    this.devices[0]!.start();
  }

  note(line: string): void {
    this.lines.push(`${Math.round(this.now)} ${line}`);
  }

  play(): void {
    for (let step = 0; step < STEPS; step++) this.step([...this.progress(), ...this.faults()]);
    this.note('faults stop');
    for (const device of this.devices) device.lose();
    // Copies come one after the other: together they would replace each other for ever.
    for (const device of this.devices) this.drain(device);
    for (const device of this.devices) {
      const [id] = device.outbox.ids();
      if (id !== undefined) throw new Error(`outcome: ${id} has none`);
    }
  }

  private drain(device: SimulatedDevice): void {
    if (!device.sender) device.start();
    for (let step = 0; device.holdsAny(); step++) {
      if (step > MAX_LAST_STEPS) throw new Error(`liveness: ${device.name} still holds messages`);
      if (!device.link) this.connect(device);
      const actions = this.progress();
      if (actions.every(({ weight }) => weight === 0)) throw new Error(`liveness: nothing is left to do`);
      this.step(actions);
    }
    device.lose();
  }

  private step(actions: readonly Action[]): void {
    let dice = this.random() * actions.reduce((sum, { weight }) => sum + weight, 0);
    const action = actions.find(({ weight }) => (dice -= weight) < 0) ?? actions.at(-1);
    action?.run();
  }

  private pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)]!;
  }

  /** What happens by itself. */
  private progress(): Action[] {
    const actions: Action[] = [{ weight: 1, run: () => (this.now += this.random() * 900) }];
    for (const device of this.devices) {
      if (device.loads.length > 0) actions.push({ weight: 6, run: () => this.load(device) });
      if (device.wakeAtMs !== undefined) actions.push({ weight: 0.5, run: () => this.wake(device) });
    }
    for (const link of this.links) {
      const { up, down, node, device } = link;
      const isRead = device.link === link;
      if (!link.isClaimed && link.isUpOpen) {
        const grant = this.pick([
          { messages: 8, bytes: 16_384 },
          { messages: 1, bytes: 500 },
        ]);
        actions.push({ weight: 3, run: () => node.claim(link, grant) });
      } else if (link.isUpOpen && up.length > 0)
        actions.push({ weight: 5, run: () => node.receive(link, up.shift()!) });
      // Also late packets of an older connection.
      if (device.sender && down.length > 0)
        actions.push({ weight: 5, run: () => device.receive(link, down.shift()!) });
      // Each end finds out that the other has gone.
      if (isRead && !link.isUpOpen && down.length === 0)
        actions.push({ weight: 1, run: () => device.lose() });
      if (!isRead && link.isUpOpen && link.isClaimed && up.length === 0)
        actions.push({ weight: 0.2, run: () => this.loseAtNode(link) });
    }
    for (const node of this.nodes) {
      if (node.runs.length > 0) actions.push({ weight: 4, run: () => node.finish(this.pick(node.runs)) });
      if (node.writes.length > 0) actions.push({ weight: 4, run: () => node.write() });
      if (node.answers.length > 0)
        actions.push({ weight: 4, run: () => node.dispatch(node.answers.shift()!) });
    }
    return actions;
  }

  private faults(): Action[] {
    const actions: Action[] = [];
    for (const device of this.devices) {
      if (!device.sender) {
        actions.push({ weight: 2, run: () => device.start() });
        continue;
      }
      actions.push(
        { weight: 4, run: () => this.put(device) },
        { weight: 0.3, run: () => this.drop(device) },
        { weight: 0.5, run: () => device.outbox.sync() },
        { weight: 0.25, run: () => this.kill(device) },
        { weight: 0.25, run: () => this.powerCut(device) },
      );
      const { link } = device;
      // It may reconnect before the node has seen the end of the old connection.
      actions.push({ weight: link ? 0.3 : 3, run: () => this.reconnect(device) });
      if (!link) continue;
      actions.push(
        { weight: 0.3, run: () => device.lose() },
        { weight: 0.3, run: () => this.loseAtNode(link) },
        { weight: 0.2, run: () => this.cut(device, link) },
      );
    }
    for (const node of this.nodes) actions.push({ weight: 0.08, run: () => this.killNode(node) });
    if (this.hasForks)
      actions.push(
        { weight: 0.3, run: () => (this.backup = this.pick(this.devices).outbox.copy()) },
        { weight: 0.3, run: () => this.clone() },
        { weight: 0.3, run: () => this.rollBack() },
      );
    return actions;
  }

  private put(device: SimulatedDevice): void {
    const lane = Math.floor(this.random() * LANES);
    const dice = this.random();
    const kind: Kind =
      dice < 0.8
        ? 'ok'
        : dice < 0.87
          ? 'invalid'
          : { failures: dice < 0.97 ? Math.ceil(this.random() * 3) : Infinity };
    const id = this.oracle.put(lane, kind);
    this.note(`${device.name} puts ${id} into lane ${lane}`);
    device.put(lane, id);
  }

  private drop(device: SimulatedDevice): void {
    const lanes = [...(device.sender?.lanes.values() ?? [])].filter(({ held }) => held.length > 0);
    if (lanes.length === 0) return;
    const { lane, held } = this.pick(lanes);
    const { from, to } = this.pick(held);
    const seq = from + Math.floor(this.random() * (to - from + 1));
    this.note(`${device.name} drops ${lane}/${seq}`);
    device.drop(lane, seq);
  }

  private load(device: SimulatedDevice): void {
    const { lane, seq } = device.loads.shift()!;
    if (device.outbox.holds(lane, seq)) device.loaded(lane, seq);
  }

  private wake(device: SimulatedDevice): void {
    this.now = Math.max(this.now, device.wakeAtMs!);
    device.wakeAtMs = undefined;
    device.dispatch({ type: 'tick' });
  }

  private reconnect(device: SimulatedDevice): void {
    device.lose();
    this.connect(device);
  }

  private connect(device: SimulatedDevice): void {
    const node = this.pick(this.nodes);
    const link = new Link(this.links.length + 1, device, node);
    this.note(`${device.name} connects to ${node.name} (${link.number})`);
    this.links.push(link);
    device.connect(link);
  }

  private cut(device: SimulatedDevice, link: Link): void {
    const { up } = link;
    up.length = Math.floor(this.random() * (up.length + 1));
    device.lose();
  }

  private loseAtNode(link: Link): void {
    this.note(`${link.node.name} loses ${link.number}`);
    link.isUpOpen = false;
    link.node.dispatch({ type: 'lost', connection: link.number });
  }

  private kill(device: SimulatedDevice): void {
    this.note(`${device.name} is killed`);
    device.stop();
  }

  private powerCut(device: SimulatedDevice): void {
    this.note(`${device.name} loses power`);
    device.stop();
    const lanes = device.outbox.powerCut(this.random);
    for (const node of this.nodes) node.onNumbersBack(lanes);
  }

  private killNode(node: SimulatedNode): void {
    this.note(`${node.name} is killed`);
    for (const link of this.links) if (link.node === node) link.isUpOpen = false;
    node.kill();
  }

  private clone(): void {
    if (this.devices.length > 1) return;
    const copy = this.devices[0]!.outbox.copy();
    this.fork(copy);
    this.note('A is cloned to B');
    this.devices.push(new SimulatedDevice(this, 'B', copy));
  }

  private rollBack(): void {
    if (!this.backup) return;
    const device = this.pick(this.devices);
    const copy = this.backup.copy();
    this.fork(copy);
    this.note(`${device.name} gets an older copy of its store`);
    device.rollBack(copy);
  }

  private fork(copy: SimulatedOutbox): void {
    this.oracle.isForked = true;
    for (const id of copy.ids()) this.oracle.excuse(id, 'a copy holds it');
  }
}

/** Plays the history of a seed. Throws with the seed, the invariant that does not hold, and all that happened. */
export function playHistory(seed: number): void {
  const history = new History(seed);
  try {
    history.play();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`${message}\n  HISTORY_SEED=${seed}\n  ${history.lines.join('\n  ')}`, { cause: error });
  }
}
