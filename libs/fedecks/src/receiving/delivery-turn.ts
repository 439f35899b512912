import { type NackCode } from '../wire/internal.js';
import { type DeliveryInfo } from '../results/index.js';

/** What came of the handler of a delivery. */
export type DeliveryOutcome =
  { readonly result: 'handled' } | { readonly result: NackCode; readonly text: string };

/** A delivery whose turn in its lane has come. Its handler runs once. */
export class DeliveryTurn {
  private hasEnded = false;
  private isRunning = false;
  /** Called when it has ended, and before that when its handler is to stop. */
  onEnd: (() => void) | undefined;

  constructor(
    /** The whole control message. */
    readonly frame: Buffer,
    readonly info: DeliveryInfo,
    private readonly onOutcome: (outcome: DeliveryOutcome) => void,
  ) {}

  /** Its handler is about to run. False if it must not run any more. */
  begin(): boolean {
    this.isRunning = !this.hasEnded;
    return this.isRunning;
  }

  /** Only the first outcome counts. */
  finish(outcome: DeliveryOutcome): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.onEnd?.();
    this.onOutcome(outcome);
  }

  /** Nobody wants the outcome any more. A handler that runs is told to stop, and ends it. */
  abort(): void {
    if (this.isRunning) this.onEnd?.();
    else this.onAborted();
  }

  /** Its connection has ended. A handler that runs goes on; what has not begun is delivered again. */
  abandon(): void {
    if (!this.isRunning) this.onAborted();
  }

  onAborted(): void {
    this.finish({ result: 'failed', text: 'aborted' });
  }
}
