import { Injectable } from '@nestjs/common';

/** What the cloud asks for with `restart`. The agent ends, and whatever has started it starts it again. */
@Injectable()
export class Restart {
  /** Resolves when it is asked for. */
  readonly requested: Promise<void>;
  private resolve!: () => void;

  constructor() {
    this.requested = new Promise((resolve) => (this.resolve = resolve));
  }

  request(): void {
    this.resolve();
  }
}
