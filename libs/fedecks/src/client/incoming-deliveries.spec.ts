import { jest } from '@jest/globals';
import { type DeliverHead } from '../wire/internal.js';
import { PowerCutDisk } from '../../test/support/power-cut-disk.js';
import { ack, deliver, resume } from '../../test/support/raw-deliveries.js';
import { seeded } from '../../test/support/seeded.js';
import { int } from '../../test/support/term-bytes.js';
import { DeliveryLink } from './delivery-link.js';
import { type IncomingDelivery } from './delivery-handlers.js';
import { IncomingDeliveries } from './incoming-deliveries.js';
import { PositionsFile } from './positions-file.js';

const SEED = Number(process.env['POWER_CUT_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** The device side of a connection, without one. */
class Wire {
  readonly protocol = 2;
  readonly sent: Buffer[] = [];
  /** How many operations the disk had done before each. */
  readonly sentAt: number[] = [];
  readonly breaches: string[] = [];

  constructor(private readonly disk: PowerCutDisk) {}

  sendDelivery(bytes: Uint8Array): void {
    this.sent.push(Buffer.from(bytes));
    this.sentAt.push(this.disk.log.length);
  }
  breach(reason: string): void {
    this.breaches.push(reason);
  }
  close(): void {
    this.breaches.push('closed');
  }
}

const head = (seq: number): DeliverHead => ({
  type: 'deliver',
  lane: 0,
  seq,
  epoch: 'E',
  attempt: 1,
  nacks: 0,
  ageMs: -1,
});

function receive(disk: PowerCutDisk): {
  link: DeliveryLink;
  wire: Wire;
  incoming: IncomingDeliveries;
  runs: IncomingDelivery[];
} {
  const file = new PositionsFile('/token', 'nerves-242a', disk);
  const options = { deviceId: 'nerves-242a', maxFrameBytes: 65_536 };
  const runs: IncomingDelivery[] = [];
  const incoming = new IncomingDeliveries(
    options,
    file,
    { isThere: () => true, handle: (incomingDelivery) => runs.push(incomingDelivery) },
    () => undefined,
  );
  const wire = new Wire(disk);
  const link = new DeliveryLink(wire, incoming, undefined);
  link.onControl({ type: 'resume', handled: [], window: { messages: 8, bytes: 16_384 } }, Buffer.alloc(0));
  return { link, wire, incoming, runs };
}

describe('IncomingDeliveries', () => {
  afterEach(() => jest.useRealTimers());

  it(`acknowledges what survives a power cut only (POWER_CUT_SEED=${SEED})`, async () => {
    const random = seeded(SEED);
    const disk = new PowerCutDisk();
    const { link, wire, runs } = receive(disk);
    await settled();
    const bytes = deliver(1, int(5));
    for (let seq = 1; seq <= 4; seq++) {
      link.onControl(head(seq), bytes);
      await settled();
      runs.at(-1)!.turn.finish({ result: 'handled' });
      await settled();
    }
    const acks = [1, 2, 3, 4].map((seq) => ack(seq, 8 + seq, 16_384 + seq * bytes.length));
    expect(wire.sent).toEqual([resume(), ...acks]);
    for (const [index, sentAt] of wire.sentAt.entries()) {
      for (let cut = sentAt; cut <= disk.log.length; cut++) {
        const after = receive(disk.after(cut, random));
        await settled();
        // The number of its resume, by hand: 83 68 04 6b 0006 "resume" 6c 00000001 68 03 61 lane 6d 00000001 "E" 61 seq
        const [resumed] = after.wire.sent;
        const seq = resumed!.length === resume().length ? 0 : resumed!.readUInt8(28);
        expect({ cut, isKept: seq >= index }).toEqual({ cut, isKept: true });
      }
    }
  });

  it('sends nothing on a connection that is lost', async () => {
    const { link, wire, runs, incoming } = receive(new PowerCutDisk());
    await settled();
    link.onControl(head(1), deliver(1, int(5)));
    await settled();
    link.lost();
    runs[0]!.turn.finish({ result: 'handled' });
    await settled();
    const next = new Wire(new PowerCutDisk());
    new DeliveryLink(next, incoming, undefined).resume();
    await settled();
    expect([wire.sent, wire.breaches]).toEqual([[resume()], []]);
    expect(next.sent).toEqual([resume([[0, 'E', 1]])]);
  });

  it('begins no handler when it finishes', async () => {
    const { link, runs, incoming } = receive(new PowerCutDisk());
    await settled();
    link.onControl(head(1), deliver(1, int(5)));
    await incoming.finish();
    await settled();
    expect(runs).toEqual([]);
  });

  it('waits 1 s for a handler when it finishes, and keeps nothing that ends later', async () => {
    const disk = new PowerCutDisk();
    const { link, runs, incoming } = receive(disk);
    await settled();
    link.onControl(head(1), deliver(1, int(5)));
    await settled();
    jest.useFakeTimers({ doNotFake: ['setImmediate'] });
    let isFinished = false;
    const finished = incoming.finish().then(() => (isFinished = true));
    await jest.advanceTimersByTimeAsync(999);
    expect(isFinished).toBe(false);
    await jest.advanceTimersByTimeAsync(1);
    await finished;
    runs[0]!.turn.finish({ result: 'handled' });
    await settled();
    expect(disk.log).toEqual([]);
  });
});
