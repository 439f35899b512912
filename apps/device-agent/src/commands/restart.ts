import { ConflictException } from '@nestjs/common';

/** What the cloud asks for with `restart`. The agent ends, and whatever has started it starts it again. */
export class Restart {
  /** Resolves when it is asked for. */
  readonly requested: Promise<void>;
  private resolve!: () => void;

  /** @param isAtTerminal whether a person runs the agent: nothing would start it again. */
  constructor(private readonly isAtTerminal: boolean) {
    this.requested = new Promise((resolve) => (this.resolve = resolve));
  }

  /** @throws {ConflictException} if nothing would start the agent again: the device would be lost. */
  check(): void {
    if (this.isAtTerminal)
      throw new ConflictException(
        'the agent runs at a terminal, where nothing starts it again: run it by systemd or Docker',
      );
  }

  request(): void {
    this.resolve();
  }
}
