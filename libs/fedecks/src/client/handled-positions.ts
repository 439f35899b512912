import { type DeliveryClaim, type HandledPosition, isHandled } from '../delivery/index.js';
import { type PositionsFile } from './positions-file.js';

/**
 * The last delivery of the cloud that was handled in each lane. It is kept before the delivery is acknowledged. The file
 * is read when a connection begins to deliver, and written when something was handled: once for all that is handled
 * while it is being written.
 */
export class HandledPositions {
  private kept: readonly HandledPosition[] = [];
  private isLoaded = false;
  private isClosed = false;
  private generation = 0;
  /** What the next write takes. */
  private readonly waiting = new Map<number, HandledPosition & { readonly generation: number }>();
  private nextWrite: Promise<void> | undefined;
  /** The last of the reads and writes, which follow one another. Never rejects. */
  private last: Promise<unknown> = Promise.resolve();

  /**
   * @param file undefined to keep the positions in memory only.
   * @param report takes why the file counts as none.
   */
  constructor(
    private readonly file: PositionsFile | undefined,
    private readonly report: (reason: string) => void,
  ) {}

  /** A connection begins to deliver: what was handled before and is not kept yet is refused from now on. */
  claim(): Promise<DeliveryClaim> {
    return this.inTurn(async () => {
      if (!this.isLoaded && this.file) this.kept = await this.file.load(this.report);
      this.isLoaded = true;
      return { generation: ++this.generation, handled: this.kept };
    });
  }

  /** Resolves when the position is kept; with false if a newer connection delivers. */
  async setHandled(generation: number, position: HandledPosition): Promise<boolean> {
    if (isHandled(this.kept, position)) return true;
    this.waiting.set(position.lane, { ...position, generation });
    await (this.nextWrite ??= this.inTurn(() => this.write()));
    return isHandled(this.kept, position);
  }

  /** Writes nothing more: the next client with this directory may be there. */
  close(): void {
    this.isClosed = true;
  }

  private async write(): Promise<void> {
    this.nextWrite = undefined;
    const handled = [...this.waiting.values()]
      .filter(({ generation }) => generation === this.generation)
      .map(({ lane, epoch, seq }) => ({ lane, epoch, seq }));
    this.waiting.clear();
    if (handled.length === 0 || this.isClosed) return;
    const others = this.kept.filter(({ lane }) => handled.every((each) => each.lane !== lane));
    const positions = [...others, ...handled];
    await this.file?.save(positions);
    this.kept = positions;
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.last.then(work);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}
