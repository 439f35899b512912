import { Duplex } from 'node:stream';
import { jest } from '@jest/globals';
import { Outbox } from './outbox.js';

/** A socket that accepts writes only while `reads`, and records them. */
class Socket extends Duplex {
  readonly writes: string[] = [];
  /** The buffers it was given. */
  readonly chunks: Buffer[] = [];
  reads = true;
  private takeOn: (() => void) | undefined;

  override _read(): void {
    // Nothing arrives.
  }

  override _write(chunk: Buffer, _: BufferEncoding, taken: () => void): void {
    this._writev([{ chunk }], taken);
  }

  override _writev(given: { chunk: Buffer }[], taken: () => void): void {
    const chunks = given.map(({ chunk }) => chunk);
    this.chunks.push(...chunks);
    this.writes.push(Buffer.concat(chunks).toString());
    if (this.reads) taken();
    else this.takeOn = taken;
  }

  readOn(): void {
    this.reads = true;
    this.takeOn?.();
  }
}

const bytes = (text: string | number): Buffer =>
  Buffer.from(typeof text === 'string' ? text : 'x'.repeat(text));
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Outbox', () => {
  let socket: Socket;
  let overflows: number;
  let pauses: number;

  function outbox({ held = false, maxBufferedBytes = 1_000 } = {}): Outbox {
    const made = new Outbox(
      socket,
      maxBufferedBytes,
      () => overflows++,
      () => pauses++,
    );
    if (!held) made.release();
    return made;
  }

  beforeEach(() => {
    socket = new Socket({ writableHighWaterMark: 100 });
    overflows = 0;
    pauses = 0;
  });
  afterEach(() => socket.destroy());

  it('writes the frames of one tick at once', async () => {
    const made = outbox();
    expect([made.write(bytes('a')), made.write(bytes('b'))]).toEqual([true, true]);
    expect(socket.writes).toEqual([]);
    await tick();
    expect(socket.writes).toEqual(['ab']);
  });

  it('writes frames that are large together in one write, in order, and copies none of them', async () => {
    const made = outbox({ maxBufferedBytes: 100_000 });
    const frames = ['a', 'b'].map((letter) => bytes(letter.repeat(20_000)));
    for (const frame of frames) void made.write(frame);
    await tick();
    expect(socket.writes).toEqual(['a'.repeat(20_000) + 'b'.repeat(20_000)]);
    expect(socket.chunks.map((chunk) => frames.indexOf(chunk))).toEqual([0, 1]);
  });

  it('holds frames until it is released, then writes them in order', async () => {
    const made = outbox({ held: true });
    const written = Promise.all([made.write(bytes('a')), made.write(bytes('b'))]);
    await tick();
    expect([socket.writes, made.holding]).toEqual([[], true]);
    made.release();
    void made.write(bytes('c'));
    await tick();
    expect([socket.writes, await written]).toEqual([['abc'], [true, true]]);
  });

  it('keeps no timer when it is released, or when the connection has ended', () => {
    jest.useFakeTimers();
    try {
      const [released, closed] = [outbox({ held: true }), outbox({ held: true })];
      expect(jest.getTimerCount()).toBe(2);
      released.release();
      closed.close();
      expect(jest.getTimerCount()).toBe(0);
    } finally {
      jest.useRealTimers();
    }
  });

  it('answers false for frames that were held when the connection ended', async () => {
    const made = outbox({ held: true });
    const written = made.write(bytes('a'));
    made.close();
    expect([await written, made.write(bytes('b')), socket.writes]).toEqual([false, false, []]);
  });

  it('overflows when too many bytes are queued', async () => {
    socket.reads = false;
    const made = outbox();
    expect(made.write(bytes(900))).toBe(true);
    await tick();
    expect(made.write(bytes(100))).toBe(true);
    expect([made.write(bytes(1)), overflows]).toEqual([false, 1]);
  });

  it('overflows when too many bytes are held', () => {
    const made = outbox({ held: true });
    void made.write(bytes(900));
    expect([made.write(bytes(101)), overflows]).toEqual([false, 1]);
    made.close();
  });

  it('does not count bytes that the kernel accepts at once', () => {
    const made = outbox();
    for (let count = 0; count < 10; count++) expect(made.write(bytes(900))).toBe(true);
    expect(overflows).toBe(0);
  });

  it('accepts one message of any size when nothing is queued', async () => {
    socket.reads = false;
    const made = outbox();
    expect(made.write(bytes(5_000))).toBe(true);
    await tick();
    expect([overflows, socket.writes[0]?.length]).toEqual([0, 5_000]);
    expect([made.write(bytes(1)), overflows]).toEqual([false, 1]);
  });

  it('writes a last frame after all others, and nothing after it', async () => {
    const made = outbox({ held: true });
    const written = made.write(bytes('a'));
    made.finish(bytes('last'));
    expect([await written, made.write(bytes('b'))]).toEqual([true, false]);
    await tick();
    expect(socket.writes).toEqual(['alast']);
  });

  it('writes no last frame after it was closed', async () => {
    const made = outbox();
    made.close();
    made.finish(bytes('last'));
    await tick();
    expect(socket.writes).toEqual([]);
  });

  it('writes nothing to a socket that has ended meanwhile', async () => {
    const errors: Error[] = [];
    socket.on('error', (error) => errors.push(error));
    const made = outbox();
    void made.write(bytes('a'));
    socket.end();
    await tick();
    expect([socket.writes, errors]).toEqual([[], []]);
  });

  it('is drained when the device has taken what was written', async () => {
    socket.reads = false;
    const made = outbox();
    void made.write(bytes(200));
    let isDrained = false;
    const drained = made.drained().then(() => (isDrained = true));
    await tick();
    expect(isDrained).toBe(false);
    socket.readOn();
    await drained;
  });

  it('is not drained when more was written as soon as the device had taken what was written', async () => {
    socket.reads = false;
    const made = outbox();
    void made.write(bytes(200));
    let isDrained = false;
    const drained = made.drained().then(() => (isDrained = true));
    await tick();
    socket.once('drain', () => {
      socket.reads = false;
      void made.write(bytes(200));
      made.flush();
    });
    socket.readOn();
    await tick();
    expect(isDrained).toBe(false);
    socket.readOn();
    await drained;
  });

  it('is drained when the connection ends', async () => {
    socket.reads = false;
    const made = outbox();
    void made.write(bytes(200));
    const drained = made.drained();
    await tick();
    made.close();
    socket.destroy();
    await drained;
  });

  it('adds one socket listener for all that wait for drain', async () => {
    const made = outbox({ maxBufferedBytes: 100_000 });
    socket.reads = false;
    void made.write(bytes(1_000));
    const before = socket.listenerCount('drain');
    const drained = Array.from({ length: 100 }, () => made.drained());
    await tick();
    expect(socket.listenerCount('drain')).toBe(before + 1);
    socket.readOn();
    await Promise.all(drained);
    expect(socket.listenerCount('drain')).toBe(before);
  });
});
