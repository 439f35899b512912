import { type FoundLane, type HandledPosition, type Position } from '../../src/delivery/index.js';

type Entry =
  | { readonly type: 'open'; readonly epoch: string; readonly from: readonly number[] }
  | { readonly type: 'put'; readonly lane: number; readonly seq: number; readonly id: number }
  | { readonly type: 'settle'; readonly lane: number; readonly seq: number };

/** The store of a sender: a log of which a power cut loses what was not synced. */
export class SimulatedOutbox {
  private readonly index = new Map<string, { readonly id: number; isHeld: boolean }>();
  private next: number[] = [];
  private epoch = '';

  constructor(
    private readonly lanes: number,
    private readonly entries: Entry[] = [],
    private synced = 0,
  ) {
    for (const entry of entries) this.include(entry);
  }

  /** What another disk holds after it was written with the contents of this one. */
  copy(): SimulatedOutbox {
    return new SimulatedOutbox(this.lanes, [...this.entries], this.entries.length);
  }

  /** Returns the lanes in which numbers come back that had an outcome. */
  powerCut(random: () => number): Set<number> {
    const left = this.entries.length - this.synced;
    const lost = this.entries.splice(this.synced + Math.floor(random() * (left + 1)));
    this.index.clear();
    for (const entry of this.entries) this.include(entry);
    return new Set(lost.flatMap((entry) => (entry.type === 'settle' ? [entry.lane] : [])));
  }

  sync(): void {
    this.synced = this.entries.length;
  }

  /** Begins an epoch, which is synced before it is used. */
  open(epoch: string): FoundLane[] {
    this.next = Array.from({ length: this.lanes }, () => 1);
    const found = this.next.map((_, lane) => ({
      lane,
      held: new Set<number>(),
      spans: [] as { epoch: string; from: number }[],
    }));
    for (const entry of this.entries) {
      if (entry.type === 'open') {
        for (const { lane, spans } of found) spans.push({ epoch: entry.epoch, from: entry.from[lane]! });
        continue;
      }
      const { held } = found[entry.lane]!;
      if (entry.type === 'put') {
        held.add(entry.seq);
        this.next[entry.lane] = entry.seq + 1;
      } else held.delete(entry.seq);
    }
    this.epoch = epoch;
    this.add({ type: 'open', epoch, from: [...this.next] });
    this.sync();
    return found.map(({ lane, held, spans }) => ({
      lane,
      held: [...held].map((seq) => ({ from: seq, to: seq })),
      spans: [...spans, { epoch, from: this.next[lane]! }],
      next: this.next[lane]!,
    }));
  }

  put(lane: number, id: number): Position {
    const seq = this.next[lane]!++;
    this.add({ type: 'put', lane, seq, id });
    return { epoch: this.epoch, seq };
  }

  settle(lane: number, seq: number): void {
    this.add({ type: 'settle', lane, seq });
  }

  /** The message of this number. */
  idOf(lane: number, seq: number): number {
    const id = this.index.get(key(lane, seq))?.id;
    if (id === undefined) throw new Error(`lane ${lane} never had number ${seq}`);
    return id;
  }

  /** Whether the number has no outcome. */
  holds(lane: number, seq: number): boolean {
    return this.index.get(key(lane, seq))?.isHeld === true;
  }

  /** The messages without an outcome. */
  ids(): number[] {
    return [...this.index.values()].flatMap(({ id, isHeld }) => (isHeld ? [id] : []));
  }

  private add(entry: Entry): void {
    this.entries.push(entry);
    this.include(entry);
  }

  private include(entry: Entry): void {
    if (entry.type === 'put') this.index.set(key(entry.lane, entry.seq), { id: entry.id, isHeld: true });
    if (entry.type === 'settle') this.index.get(key(entry.lane, entry.seq))!.isHeld = false;
  }
}

function key(lane: number, seq: number): string {
  return `${lane}/${seq}`;
}

/** The store of the receivers on all nodes: what is handled, and which connection is the newest. */
export class SimulatedHandledStore {
  private readonly handled = new Map<number, Position>();
  connection = 0;

  /** Returns what is handled, or undefined if a newer connection is known. */
  claim(connection: number): HandledPosition[] | undefined {
    if (connection <= this.connection) return undefined;
    this.connection = connection;
    return [...this.handled].map(([lane, position]) => ({ lane, ...position }));
  }

  /** Returns whether it is stored. */
  store(connection: number, lane: number, position: Position): boolean {
    if (connection !== this.connection) return false;
    this.handled.set(lane, position);
    return true;
  }
}
