/** A device that is killed while it handles deliveries, with a raw cloud (PROTOCOL.md §6.4). */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileTokenStore } from '@fedecks/nest/client';
import { type ChildApp, Program } from './support/child-app.js';
import { type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';
import { acceptDevice, acceptReceiver, update } from './support/raw-cloud.js';
import { resume } from './support/raw-deliveries.js';
import { seeded } from './support/seeded.js';
import { int, str } from './support/term-bytes.js';

const KILLS = Number(process.env['DELIVERY_KILLS'] ?? 10);
const SEED = Number(process.env['DELIVERY_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

let program: Program;
let cloud: PhoenixPeer;
let directory: string;
let child: ChildApp;

beforeAll(async () => (program = await Program.compile('receiving-device.ts')));
beforeEach(async () => {
  cloud = await PhoenixPeer.listen();
  directory = await mkdtemp(join(tmpdir(), 'fedecks-killed-'));
  await new FileTokenStore(directory, 'nerves-242a').save('t');
});
afterEach(async () => {
  child.dispose();
  await cloud.close();
  await rm(directory, { recursive: true });
});

it('handles a message again, as attempt 2, when it dies between the end of the handler and the write', async () => {
  child = program.start([cloud.url, directory, 'after-handler']);
  const device = await acceptReceiver(cloud);
  device.binary(update(1, str('one')));
  expect(await child.line()).toBe('one 1');
  await child.exited(10_000);
  child = program.start([cloud.url, directory]);
  const again = await acceptReceiver(cloud);
  again.binary(update(1, str('one'), { attempt: 2 }));
  expect(await child.line()).toBe('one 2');
});

it('handles nothing again when it dies before the ack', async () => {
  child = program.start([cloud.url, directory, 'before-ack']);
  const device = await acceptReceiver(cloud);
  device.binary(update(1, str('one')));
  expect(await child.line()).toBe('one 1');
  await child.exited(10_000);
  child = program.start([cloud.url, directory]);
  await acceptReceiver(cloud, [[0, 'E', 1]]);
});

it('exits when it has stopped, though a handler never ends', async () => {
  child = program.start([cloud.url, directory, 'deaf']);
  const device = await acceptReceiver(cloud);
  device.binary(update(1, str('one')));
  expect(await child.line()).toBe('one 1');
  device.fin();
  const before = performance.now();
  child.kill('SIGTERM');
  expect(await child.exited(10_000)).toMatchObject({ code: 0, signal: null });
  expect(performance.now() - before).toBeLessThan(4_000);
});

/** The number that a resume of one lane covers, by hand: ... 6c 00000001 68 03 61 lane 6d 00000001 "E" 61 seq. */
function coveredBy(payload: Buffer): number {
  if (payload.length === resume().length) return 0;
  return payload[27] === 0x61 ? payload.readUInt8(28) : payload.readInt32BE(28);
}

/** Delivers what is not covered until the device is gone. Returns the last number that was acknowledged. */
async function deliverFrom(
  device: PeerConnection,
  first: number,
  attempts: Map<number, number>,
  onAck: () => void,
): Promise<number> {
  let covered = first - 1;
  for (let seq = first; ; seq++) {
    const attempt = (attempts.get(seq) ?? 0) + 1;
    attempts.set(seq, attempt);
    device.binary(update(seq, str(String(seq)), { attempt }));
    const frame = await Promise.race([device.frame().catch(() => undefined), device.gone]);
    if (!frame) return covered;
    const start = Buffer.concat([Buffer.from('8368056b000361636b6100', 'hex'), int(seq)]);
    expect(frame.payload.subarray(0, start.length)).toEqual(start);
    covered = seq;
    onAck();
  }
}

it(
  `handles nothing again that was acknowledged or resumed, whenever it is killed (DELIVERY_SEED=${SEED})`,
  async () => {
    const random = seeded(SEED);
    const attempts = new Map<number, number>();
    const runs: string[] = [];
    const covered: { readonly after: number; readonly seq: number }[] = [];
    let last = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      child = program.start([cloud.url, directory]);
      child.onLine((line) => runs.push(line));
      const device = await acceptDevice(cloud);
      device.binary(resume());
      const resumed = coveredBy((await device.frame()).payload);
      expect(resumed).toBeGreaterThanOrEqual(last);
      covered.push({ after: runs.length, seq: resumed });
      const killed = child;
      let isDoomed = false;
      const killSoon = (): void => {
        if (isDoomed) return;
        isDoomed = true;
        setTimeout(() => killed.kill('SIGKILL'), random() * 15);
      };
      // On a slow machine each would be killed before it acknowledges anything.
      if (kill > 0) killSoon();
      last = await deliverFrom(device, resumed + 1, attempts, killSoon);
      killSoon();
      await killed.exited(10_000);
    }
    expect(last).toBeGreaterThan(0);
    const handled = runs.map((line) => line.split(' ').map(Number));
    for (const { after, seq } of covered)
      for (const [number] of handled.slice(after)) expect(number).toBeGreaterThan(seq);
    for (const [index, [number, attempt]] of handled.entries())
      if (handled.slice(0, index).some(([earlier]) => earlier === number)) expect(attempt).toBeGreaterThan(1);
  },
  60_000 + KILLS * 5_000,
);
