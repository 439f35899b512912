import { type Duplex } from 'node:stream';
import { type WebSocket } from 'ws';

/** How long a device that sends nothing is spared frames that could share a read with the 101 (PROTOCOL.md §2). */
const HOLD_MS = 1_000;
const BINARY = { binary: true } as const;

/**
 * What leaves for a device. Until its first frame has arrived frames are held; what is written in one tick
 * leaves in one system call, which is most of what a small frame costs; and what waits for a device that does
 * not read is bounded.
 */
export class Outbox {
  private open = true;
  private corked = false;
  /** Undefined once the device has shown that it reads frames. */
  private held: (() => void)[] | undefined = [];
  private heldBytes = 0;
  private holdTimer: NodeJS.Timeout | undefined;

  /** @param overflow called when more than `maxBufferedBytes` wait. */
  constructor(
    private readonly ws: WebSocket,
    private readonly socket: Duplex,
    private readonly maxBufferedBytes: number,
    private readonly overflow: () => void,
  ) {
    this.holdTimer = setTimeout(() => this.release(), HOLD_MS);
  }

  /** True once the frame is written to the socket, false if the connection ended before that. */
  write(bytes: Buffer): boolean | Promise<boolean> {
    if (!this.open) return false;
    const { held } = this;
    if (!held) return this.put(bytes);
    this.heldBytes += bytes.length;
    if (this.heldBytes > this.maxBufferedBytes) {
      this.overflow();
      return false;
    }
    return new Promise((written) => held.push(() => written(this.open && this.put(bytes))));
  }

  /** The device reads frames: what was held for it goes. */
  release(): void {
    const { held } = this;
    if (!held) return;
    clearTimeout(this.holdTimer);
    this.held = this.holdTimer = undefined;
    for (const go of held) go();
  }

  /** Resolves when the device may be sent more: it reads frames, and has taken enough of those written. */
  async drained(): Promise<void> {
    const { held } = this;
    if (held) await new Promise<void>((released) => held.push(released));
    while (this.open && this.socket.writableNeedDrain) {
      await new Promise<void>((resolve) => {
        const go = (): void => {
          this.socket.off('drain', go).off('close', go);
          resolve();
        };
        this.socket.on('drain', go).on('close', go);
      });
    }
  }

  /** Nothing more is written. */
  close(): void {
    this.open = false;
    this.release();
  }

  private put(bytes: Buffer): boolean {
    // It is closing: the device has sent its close frame.
    if (this.ws.readyState !== this.ws.OPEN) return false;
    if (!this.corked) {
      this.corked = true;
      this.socket.cork();
      process.nextTick(uncork, this);
    }
    this.ws.send(bytes, BINARY);
    if (this.full()) {
      // Only what the system does not take counts, not what it has not been offered yet.
      this.uncork();
      if (this.full()) this.overflow();
    }
    return this.open;
  }

  private full(): boolean {
    return this.ws.bufferedAmount > this.maxBufferedBytes;
  }

  uncork(): void {
    this.corked = false;
    this.socket.uncork();
  }
}

function uncork(outbox: Outbox): void {
  outbox.uncork();
}
