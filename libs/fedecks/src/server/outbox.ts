import { type Duplex } from 'node:stream';

/** How long to hold frames for a silent device, in ms, so that none shares a read with the 101 (PROTOCOL.md §2.6). */
const HOLD_MS = 1_000;

/** Frames up to this total size are written as one buffer: copying them costs less than writing each. */
const JOIN_BYTES = 16 * 1024;

/**
 * The outgoing frames of a device. It holds frames until the device's first frame arrives. It writes the frames of one
 * tick in one system call, the main cost of a small frame. Buffered data for a device that does not read is bounded by
 * `maxBufferedBytes` plus one message.
 */
export class Outbox {
  private open = true;
  /** Frames of this tick. */
  private frames: Buffer[] = [];
  private framesBytes = 0;
  /** Writes that wait for the device's first frame; undefined once it has arrived. */
  private held: (() => void)[] | undefined = [];
  private heldBytes = 0;
  private holdTimer: NodeJS.Timeout | undefined;
  /** One shared promise: removing thousands of listeners takes seconds. */
  private drain: Promise<void> | undefined;

  /**
   * @param onOverflow called when a frame would exceed the buffer limit.
   * @param onFull called when {@link drained} has to wait for the device.
   */
  constructor(
    private readonly socket: Duplex,
    private readonly maxBufferedBytes: number,
    private readonly onOverflow: () => void,
    private readonly onFull: () => void,
  ) {
    this.holdTimer = setTimeout(() => this.release(), HOLD_MS);
  }

  /** Whether frames wait for the device's first frame. */
  get holding(): boolean {
    return this.held !== undefined;
  }

  /** Writes a frame. True once it is on its way to the socket, false if the connection ended before that. */
  write(frame: Buffer): boolean | Promise<boolean> {
    if (!this.open) return false;
    const { held } = this;
    if (!held) return this.put(frame);
    if (!this.hasRoom(this.heldBytes, frame)) {
      this.onOverflow();
      return false;
    }
    this.heldBytes += frame.length;
    return new Promise((resolve) => held.push(() => resolve(this.open && this.put(frame))));
  }

  /** Writes the held frames: the device reads frames now. */
  release(): void {
    const { held } = this;
    if (!held) return;
    clearTimeout(this.holdTimer);
    this.held = this.holdTimer = undefined;
    for (const go of held) go();
  }

  /** Resolves when the device has read enough to be sent more. */
  async drained(): Promise<void> {
    const { held } = this;
    if (held) await new Promise<void>((released) => held.push(released));
    this.flush();
    while (this.open && this.socket.writableNeedDrain) await (this.drain ??= this.nextDrain());
  }

  private nextDrain(): Promise<void> {
    this.onFull();
    return new Promise((resolve) => {
      const go = (): void => {
        this.drain = undefined;
        this.socket.off('drain', go).off('close', go);
        resolve();
      };
      this.socket.on('drain', go).on('close', go);
    });
  }

  /** Writes the frames of this tick to the socket. */
  flush(): void {
    const { frames, framesBytes, socket } = this;
    const [first] = frames;
    if (!first) return;
    this.frames = [];
    this.framesBytes = 0;
    if (socket.destroyed || !socket.writable) return;
    if (frames.length === 1) {
      socket.write(first);
    } else if (framesBytes <= JOIN_BYTES) {
      socket.write(Buffer.concat(frames, framesBytes));
    } else {
      socket.cork();
      for (const frame of frames) socket.write(frame);
      socket.uncork();
    }
  }

  /** Writes a last frame after all others, then closes. */
  finish(frame: Buffer): void {
    this.release();
    if (!this.open) return;
    this.frames.push(frame);
    this.framesBytes += frame.length;
    this.close();
  }

  /** Accepts no more frames, and flushes those written before. */
  close(): void {
    this.open = false;
    this.release();
    this.flush();
  }

  private put(frame: Buffer): boolean {
    if (!this.hasRoom(this.socket.writableLength + this.framesBytes, frame)) {
      // Counts only bytes that the kernel did not accept, not those not yet written.
      this.flush();
      if (!this.hasRoom(this.socket.writableLength, frame)) {
        this.onOverflow();
        return false;
      }
    }
    if (this.frames.push(frame) === 1) flushLater(this);
    this.framesBytes += frame.length;
    return true;
  }

  /** A single message may exceed the limit if nothing is buffered before it. */
  private hasRoom(waitingBytes: number, frame: Buffer): boolean {
    return waitingBytes === 0 || waitingBytes + frame.length <= this.maxBufferedBytes;
  }
}

let pending: Outbox[] = [];

/** Schedules one callback at the end of the tick for all outboxes with frames. */
function flushLater(outbox: Outbox): void {
  if (pending.push(outbox) === 1) process.nextTick(flushAll);
}

function flushAll(): void {
  const outboxes = pending;
  pending = [];
  for (const outbox of outboxes) outbox.flush();
}
