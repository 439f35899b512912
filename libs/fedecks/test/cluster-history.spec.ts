import { type PresenceEntry } from '@fedecks/nest';
import { type FakeDevice } from '@fedecks/nest/testing';
import { eventually } from './support/eventually.js';
import { Fleet, type FleetNode } from './support/fleet.js';
import { NatsServer } from './support/nats-server.js';
import { seeded } from './support/seeded.js';

const STEPS = 2_000;
const IDS = Array.from({ length: 60 }, (_, index) => `device.${index} *`);
const HEARTBEAT_MS = 200;
/** `HISTORY_SEED=...` repeats the steps of a run, but not the timing of its processes. */
const SEED = Number(process.env['HISTORY_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

interface RunningNode {
  readonly node: FleetNode;
  /** The number of steps it stays frozen; 0 when it runs. */
  frozenFor: number;
  /** It is killed instead of thawed. */
  diesFrozen: boolean;
}

/** Devices that connect, disconnect and move among nodes that are killed and frozen, and their true state. */
class History {
  readonly nodes: RunningNode[] = [];
  /** The open connections, as the devices see them. */
  readonly open = new Map<FakeDevice, FleetNode>();
  readonly done: Record<string, number> = {};

  constructor(
    private readonly random: () => number,
    private readonly start: () => Promise<FleetNode>,
  ) {}

  /** @param number the step, which guarantees kills and freezes: by chance alone, one run in fifty has no kill. */
  async step(number: number): Promise<void> {
    for (const each of [...this.nodes]) {
      if (each.frozenFor === 0 || --each.frozenFor > 0) continue;
      if (each.diesFrozen) await this.kill(each.node, 'killFrozen');
      else each.node.thaw();
    }
    const dice = this.random();
    const awake = this.nodes.filter(({ frozenFor }) => frozenFor === 0);
    if (number % 500 === 250 && awake.length > 1) await this.kill(this.pick(awake).node);
    else if (number % 500 === 100 && awake.length > 1) this.freeze(this.pick(awake), true);
    else if (number % 500 === 400 && awake.length > 1) this.freeze(this.pick(awake));
    else if (dice < 0.002 && awake.length > 1) await this.kill(this.pick(awake).node);
    else if (dice < 0.006 && awake.length > 1) this.freeze(this.pick(awake), this.random() < 0.3);
    else if (dice < 0.35) await this.leave();
    else if (dice < 0.42) await this.duplicate(awake.map(({ node }) => node));
    else await this.come(this.pick(IDS), this.pick(awake).node);
  }

  private pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)]!;
  }

  private note(step: string): void {
    this.done[step] = (this.done[step] ?? 0) + 1;
  }

  private async kill(node: FleetNode, step = 'kill'): Promise<void> {
    this.note(step);
    node.kill();
    this.nodes.splice(
      this.nodes.findIndex((each) => each.node === node),
      1,
    );
    this.nodes.push({ node: await this.start(), frozenFor: 0, diesFrozen: false });
  }

  private freeze(each: RunningNode, diesFrozen = false): void {
    this.note('freeze');
    each.node.freeze();
    each.diesFrozen = diesFrozen;
    // Some shorter than a lease, some longer.
    each.frozenFor = 20 + Math.floor(this.random() * 200);
  }

  private async leave(): Promise<void> {
    const running = [...this.open].filter(([, node]) => this.isAwake(node));
    if (running.length === 0) return;
    this.note('leave');
    await this.pick(running)[0].disconnect();
  }

  private async duplicate(awake: readonly FleetNode[]): Promise<void> {
    this.note('duplicate');
    const id = this.pick(IDS);
    const [one, other] = [this.pick(awake), this.pick(awake)];
    await Promise.all([this.come(id, one), this.come(id, other)]);
  }

  async come(id: string, node: FleetNode): Promise<void> {
    this.note('come');
    // A device that is replaced while it connects gets 4152 before its token.
    const device = await node.device(id).catch(() => undefined);
    if (!device) return;
    this.open.set(device, node);
    void device.closed.then(() => this.open.delete(device));
  }

  private isAwake(node: FleetNode): boolean {
    return this.nodes.some((each) => each.node === node && each.frozenFor === 0);
  }

  /** The expected presence: who is online. */
  truth(): string[] {
    return [...this.open.keys()].map(({ id }) => id).sort();
  }
}

it(`reports correct presence after a random history of ${STEPS} steps`, async () => {
  const [nats, fleet] = await Promise.all([NatsServer.start(), Fleet.compile()]);
  const options = { servers: nats.url, requestTimeoutMs: 1_000, heartbeatMs: HEARTBEAT_MS };
  const history = new History(seeded(SEED), () => fleet.node(options, { drainMs: 0, upgradesPerSecond: 0 }));
  try {
    const nodes = await Promise.all(
      Array.from({ length: 3 }, () => fleet.node(options, { upgradesPerSecond: 0 })),
    );
    history.nodes.push(...nodes.map((node) => ({ node, frozenFor: 0, diesFrozen: false })));
    for (let step = 0; step < STEPS; step++) await history.step(step);
    for (const { node, frozenFor } of history.nodes) if (frozenFor > 0) node.thaw();

    const all = history.nodes.map(({ node }) => node);
    // By chance alone, one run in a hundred ends with hardly a device online.
    for (const [index, id] of IDS.slice(0, 15).entries()) await history.come(id, all[index % all.length]!);
    const online = (entries: readonly PresenceEntry[]): string[] =>
      entries
        .filter(({ state }) => state === 'online')
        .map(({ id }) => id)
        .sort();
    for (const node of all) {
      await eventually(
        async () => ({ presence: online(await node.everybody()), truth: history.truth() }),
        // Each device once: one of two connections has been closed.
        ({ presence, truth }) => presence.join() === truth.join() && new Set(truth).size === truth.length,
        20_000,
      );
    }
    const truth = new Set(history.truth());
    for (const node of all) {
      const results = await Promise.all(IDS.map((id) => node.push(id, 'hi')));
      expect(results).toEqual(IDS.map((id) => (truth.has(id) ? 'sent' : 'offline')));
    }
    // The run had enough devices, and every kind of step.
    expect(truth.size).toBeGreaterThan(10);
    expect(Object.keys(history.done).sort()).toEqual([
      'come',
      'duplicate',
      'freeze',
      'kill',
      'killFrozen',
      'leave',
    ]);
  } catch (error) {
    throw new Error(`HISTORY_SEED=${SEED} (${JSON.stringify(history.done)})`, { cause: error });
  } finally {
    fleet.stopAll();
    await nats.close();
  }
}, 120_000);
