import {
  FIRST_GRANT,
  type HandledPosition,
  INITIAL_RECEIVER,
  nextReceiver,
  type ReceiverEffect,
  type ReceiverEvent,
  type ReceiverState,
} from '../../src/delivery/index.js';
import { type Down, type DeviceLink, type QueueWorld } from './queue-world.js';

interface Run extends HandledPosition {
  readonly id: number;
}

/** A device, with the positions it has handled: written before an ack, and synced some time later. */
export class SimulatedReceiver {
  isOn = true;
  link: DeviceLink | undefined;
  runs: Run[] = [];
  /** Writes on their way to the disk. */
  writes: Extract<ReceiverEffect, { do: 'store' }>[] = [];
  /** The connection that may write. */
  private claimed = 0;
  private receiver: ReceiverState = INITIAL_RECEIVER;
  private positions: ReadonlyMap<number, HandledPosition>;
  private synced: ReadonlyMap<number, HandledPosition>;
  /** What was handled, and not written or not synced. */
  private unwritten: Run[] = [];
  private unsynced: Run[] = [];
  private readonly ids = new Map<string, number>();
  private readonly results = new Set<string>();

  constructor(
    private readonly world: QueueWorld,
    readonly name: string,
    positions: ReadonlyMap<number, HandledPosition> = new Map(),
  ) {
    this.positions = this.synced = positions;
  }

  /** What another card has that was written with the contents of this one. */
  copy(name: string): SimulatedReceiver {
    return new SimulatedReceiver(this.world, name, this.positions);
  }

  connect(link: DeviceLink): void {
    this.link = link;
    if (this.world.random() < 0.5) this.resume(link);
  }

  lose(): void {
    if (!this.link) return;
    this.dispatch({ type: 'lost', connection: this.link.number });
    this.link = undefined;
  }

  sync(): void {
    this.synced = this.positions;
    this.unsynced = [];
  }

  kill(): void {
    this.excuse(this.unwritten, 'was killed');
    this.stop();
  }

  powerCut(): void {
    this.excuse([...this.unwritten, ...this.unsynced], 'lost power');
    this.stop();
    this.positions = this.synced;
    this.unsynced = [];
  }

  private excuse(runs: readonly Run[], why: string): void {
    for (const { id } of runs) this.world.oracle.excuse(id, this.name, why);
  }

  private stop(): void {
    this.isOn = false;
    this.link = undefined;
    this.receiver = INITIAL_RECEIVER;
    this.runs = [];
    this.writes = [];
    this.unwritten = [];
    this.results.clear();
  }

  /** Also what comes late, on an older connection. */
  receive(link: DeviceLink, message: Down): void {
    if (message.type === 'resume') {
      if (link === this.link) this.resume(link);
      return;
    }
    const { lane, seq, epoch, attempt, nacks, id } = message;
    if (epoch !== '') link.epochs.set(lane, epoch);
    this.ids.set(`${lane}/${link.epochs.get(lane)}/${seq}`, id);
    const incoming = { lane, seq, epoch: epoch === '' ? undefined : epoch, attempt, nacks, bytes: 100 };
    this.dispatch({ type: 'deliver', connection: link.number, ...incoming });
  }

  finish(run: Run): void {
    const { oracle } = this.world;
    this.runs = this.runs.filter((each) => each !== run);
    const { id, ...position } = run;
    const result = oracle.resultOf(id);
    if (result !== 'handled') {
      oracle.onRefused(id, result);
      this.dispatch({ type: 'finished', ...position, result, text: 'no' });
      return;
    }
    this.world.note(`${this.name} has handled ${id}`);
    oracle.onHandled(id, this.name);
    this.unwritten.push(run);
    if (oracle.returnsSomething(id)) this.results.add(`${run.lane}/${run.seq}`);
    this.dispatch({ type: 'finished', ...position, result });
  }

  write(): void {
    const { connection, lane, epoch, seq } = this.writes.shift()!;
    if (connection !== this.claimed) {
      this.dispatch({ type: 'refused', connection, lane, epoch, seq });
      return;
    }
    this.positions = new Map(this.positions).set(lane, { lane, epoch, seq });
    const isWritten = (run: Run): boolean => run.lane === lane && run.epoch === epoch && run.seq === seq;
    this.unsynced.push(...this.unwritten.filter(isWritten));
    this.unwritten = this.unwritten.filter((run) => !isWritten(run));
    this.dispatch({ type: 'stored', connection, lane, epoch, seq });
  }

  private resume(link: DeviceLink): void {
    if (link.hasDeviceResumed) return;
    link.hasDeviceResumed = true;
    this.claimed = link.number;
    const grant = this.world.random() < 0.3 ? { messages: 1, bytes: 1 } : FIRST_GRANT;
    const handled = [...this.positions.values()];
    this.dispatch({ type: 'connected', connection: link.number, handled, grant });
  }

  private dispatch(event: ReceiverEvent): void {
    const { state, effects } = nextReceiver(this.receiver, event, this.world.clock.nowMs);
    this.receiver = state;
    for (const effect of effects) this.perform(effect);
  }

  private perform(effect: ReceiverEffect): void {
    const { link } = this;
    switch (effect.do) {
      case 'resume':
        link?.up.push({ type: 'resume', handled: effect.handled, window: effect.grant });
        return;
      case 'ack':
        if (this.results.delete(`${effect.lane}/${effect.seq}`))
          link?.up.push({ type: 'result', lane: effect.lane, seq: effect.seq, value: effect.seq });
        link?.up.push({ type: 'ack', lane: effect.lane, seq: effect.seq, window: effect.grant });
        return;
      case 'nack':
        link?.up.push({ ...effect, type: 'nack' });
        return;
      case 'store':
        this.writes.push(effect);
        return;
      case 'handle':
        this.handle(effect);
        return;
      case 'stop':
      case 'close':
        this.world.oracle.fail(`peers: ${this.name} wants to ${JSON.stringify(effect)}`);
    }
  }

  private handle({ lane, epoch, seq }: Extract<ReceiverEffect, { do: 'handle' }>): void {
    const { oracle } = this.world;
    const id = this.ids.get(`${lane}/${epoch}/${seq}`)!;
    if (this.runs.some((run) => run.lane === lane))
      oracle.fail(`order: ${this.name} runs two handlers of lane ${lane}`);
    this.world.note(`${this.name} begins to handle ${id}`);
    oracle.onStart(id);
    this.runs.push({ id, lane, epoch, seq });
  }
}
