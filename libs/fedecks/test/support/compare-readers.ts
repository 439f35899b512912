/**
 * Compares our frame reader with the Receiver of `ws`, which shares no code with it: from the same chunks both must
 * emit the same events with the same payloads after each chunk, and end with the same code, without exception.
 */
import * as ws from 'ws';
import { FOUND, type Found, FrameReader } from '../../src/server/websocket/frame-reader.js';
import { cut, makeStream, type Stream } from './frame-streams.js';
import { seeded } from './seeded.js';

/** The key of the close code in an error of the Receiver. */
const STATUS_CODE = 'status-code';
/** Streams up to this length are also split at every position. */
const SHORT_BYTES = 48;
/** The default of the `ws` server. */
const MAX_FRAGMENTS = 16_384;

/** The parts of the Receiver used here, which `@types/ws` lacks. */
interface Receiver {
  readonly errored: Error | null;
  write(chunk: Buffer): boolean;
  on(event: 'message', listener: (payload: Buffer, isBinary: boolean) => void): this;
  on(event: 'ping' | 'pong', listener: (payload: Buffer) => void): this;
  on(event: 'conclude', listener: (code: number, reason: Buffer) => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
}
interface ReceiverOptions {
  readonly isServer: boolean;
  readonly maxPayload: number;
  readonly maxFragments: number;
  readonly allowSynchronousEvents: boolean;
}
const { Receiver } = ws as unknown as { readonly Receiver: new (options: ReceiverOptions) => Receiver };

interface Event {
  readonly found: Found;
  readonly payload: Buffer;
  readonly code: number;
}

export interface Compared {
  streams: number;
  /** The bytes that both readers got: a stream that is read several times counts each time. */
  bytes: number;
  messages: number;
  controls: number;
  /** The number of streams by close code; 3000 means 3000 and above. */
  readonly ends: Map<number, number>;
}

/**
 * Compares until both have read `bytes` bytes.
 * @throws Error that names the seed and the number of the stream, if they differ.
 */
export async function compareReaders(seed: number, bytes: number): Promise<Compared> {
  const random = seeded(seed);
  const compared: Compared = { streams: 0, bytes: 0, messages: 0, controls: 0, ends: new Map() };
  while (compared.bytes < bytes) {
    const stream = makeStream(random);
    const cuts = [cut(random, stream)];
    for (let at = 1; stream.bytes.length <= SHORT_BYTES && at < stream.bytes.length; at++) {
      cuts.push([stream.bytes.subarray(0, at), stream.bytes.subarray(at)]);
    }
    try {
      for (const chunks of cuts) compare(stream, chunks, random, compared);
    } catch (error) {
      const { maxMessageBytes } = stream;
      const hex = stream.bytes.toString('hex', 0, 2_000);
      throw new Error(`seed ${seed}, stream ${compared.streams}, limit ${maxMessageBytes}: ${hex}`, {
        cause: error,
      });
    }
    compared.streams++;
    // The Receiver defers work to the next tick.
    if (compared.streams % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return compared;
}

function compare(
  { maxMessageBytes }: Stream,
  chunks: readonly Buffer[],
  random: () => number,
  compared: Compared,
): void {
  const theirs = new Theirs(maxMessageBytes);
  const reader = new FrameReader(maxMessageBytes);
  // Sometimes our reader gets several chunks before it is read, or only a few events are read.
  const isLazy = random() < 0.3;
  let count = 0;
  for (const [index, chunk] of chunks.entries()) {
    compared.bytes += chunk.length;
    theirs.read(Buffer.from(chunk));
    reader.append(Buffer.from(chunk));
    let most = isLazy && index < chunks.length - 1 ? Math.floor(random() * 4) : Infinity;
    while (most > 0) {
      most--;
      const found = reader.next();
      if (found === FOUND.nothing) break;
      if (found !== FOUND.part) expectSame(theirs.events[count++], found, reader);
    }
    if (most !== Infinity) continue;
    if (count !== theirs.events.length) {
      throw new Error(`ours has ${count} events after chunk ${index}, ws ${theirs.events.length}`);
    }
    if (reader.payload.length > 0) throw new Error('a payload is kept after the last event');
  }
  for (const { found, code } of theirs.events) {
    if (found === FOUND.text || found === FOUND.binary) compared.messages++;
    else if (found === FOUND.ping || found === FOUND.pong) compared.controls++;
    else {
      // One row for the codes of applications.
      const row = code < 3000 ? code : 3000;
      compared.ends.set(row, (compared.ends.get(row) ?? 0) + 1);
    }
  }
}

function expectSame(event: Event | undefined, found: Found, reader: FrameReader): void {
  if (!event) throw new Error(`ws has no event, ours ${found} ${reader.problem}`);
  const code = found === FOUND.close || found === FOUND.violation ? reader.closeCode : 0;
  const payload = found === FOUND.close ? Buffer.from(reader.closeReason) : reader.payload;
  if (event.found !== found || event.code !== code || !event.payload.equals(payload)) {
    const ours = `${found} ${code} ${payload.toString('hex')} ${reader.problem}`;
    throw new Error(`ours is ${ours}, ws has ${event.found} ${event.code} ${event.payload.toString('hex')}`);
  }
  if (!reader.ownPayload().equals(reader.payload)) throw new Error('a payload to keep differs');
}

class Theirs {
  readonly events: Event[] = [];
  private ended = false;
  private readonly receiver: Receiver;

  constructor(maxPayload: number) {
    const receiver = new Receiver({
      isServer: true,
      maxPayload,
      maxFragments: MAX_FRAGMENTS,
      allowSynchronousEvents: true,
    });
    receiver.on('message', (payload, isBinary) => this.add(isBinary ? FOUND.binary : FOUND.text, payload));
    receiver.on('ping', (payload) => this.add(FOUND.ping, payload));
    receiver.on('pong', (payload) => this.add(FOUND.pong, payload));
    receiver.on('conclude', (code, reason) => {
      this.ended = true;
      this.add(FOUND.close, reason, code);
    });
    // The error event is emitted in the next tick, but `errored` is set at once.
    receiver.on('error', () => undefined);
    this.receiver = receiver;
  }

  read(chunk: Buffer): void {
    if (this.ended) return;
    this.receiver.write(chunk);
    const { errored } = this.receiver;
    if (!errored) return;
    this.ended = true;
    this.add(FOUND.violation, Buffer.alloc(0), statusOf(errored));
  }

  private add(found: Found, payload: Buffer, code = 0): void {
    this.events.push({ found, payload, code });
  }
}

function statusOf(error: Error): number {
  const symbol = Object.getOwnPropertySymbols(error).find(({ description }) => description === STATUS_CODE);
  return Number(symbol && Object.getOwnPropertyDescriptor(error, symbol)?.value);
}
