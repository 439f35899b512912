import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileTokenStore } from '@fedecks/nest/client';
import { type ChildApp, Program } from './support/child-app.js';
import { freePort } from './support/free-port.js';
import { type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';
import { chars, str, term, tuple } from './support/term-bytes.js';

/** The normal variation of the heap between two collections; 800 leaks of 1.3 KiB exceed it. */
const FLAT_BYTES = 1024 * 1024;

let program: Program;
let directory: string;
let app: ChildApp;
let cloud: PhoenixPeer;

beforeAll(async () => {
  program = await Program.compile('enduring-device.ts');
  directory = await mkdtemp(join(tmpdir(), 'fedecks-endurance-'));
  await new FileTokenStore(directory, 'nerves-242a').save('stored-token');
  // Of the ports that nobody else takes while the cloud is away.
  cloud = await PhoenixPeer.listen({ port: await freePort() });
});

afterAll(async () => {
  app.dispose();
  await cloud.close();
  await rm(directory, { recursive: true });
});

/** A connection of the device, and its index. */
interface Visit {
  readonly device: PeerConnection;
  readonly turn: number;
}

/** Accepts the device, and waits until it has sent something or disconnected. */
async function acceptAndWait({ device }: Visit): Promise<PeerConnection> {
  device.upgrade();
  await Promise.race([device.frame(500).catch(() => undefined), device.gone]);
  return device;
}

function closeWith(code: number) {
  return async (visit: Visit): Promise<void> => {
    const device = await acceptAndWait(visit);
    device.close(code);
    device.fin();
  };
}

function isRare({ turn }: Visit): boolean {
  return turn % 4 === 0;
}

/** The failures, used in turn. */
const WAYS: readonly ((visit: Visit) => unknown)[] = [
  closeWith(1000),
  async (visit) => (await acceptAndWait(visit)).reset(),
  // Half open: no more frames, and no FIN. Slow, so only sometimes.
  async (visit) => {
    const device = await acceptAndWait(visit);
    if (isRare(visit)) await device.gone;
    else device.fin();
  },
  ({ device }) => device.refuse(503, 'retry-after: 0\r\n'),
  closeWith(4000),
  ({ device }) => device.refuse(403, 'connection: keep-alive\r\n'),
  async (visit) => (await acceptAndWait(visit)).fin(),
  closeWith(4152),
  ({ device }) => device.reset(),
  async (visit) => {
    const device = await acceptAndWait(visit);
    device.binary(term(tuple(chars('token'), str(`token-${visit.turn}`))));
    // A frame with reserved bits.
    device.write(Buffer.from('f20101', 'hex'));
  },
  ({ device }) => device.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'),
  closeWith(1011),
  // Half open before the upgrade: no answer.
  (visit) => (isRare(visit) ? visit.device.gone : visit.device.fin()),
];

it('a device is connected after 1,000 lost connections in a row, and has leaked no timer, socket, listener or memory', async () => {
  app = program.start([cloud.url, directory], { options: ['--expose-gc'] });
  const told: Record<string, unknown>[] = [];
  const nextReport = async (): Promise<void> => {
    told.push(JSON.parse(await app.line(50_000)) as Record<string, unknown>);
  };

  /** Causes failures until the device has reported. */
  const failUntilReport = async (): Promise<void> => {
    const already = told.length;
    const telling = nextReport();
    for (let turn = 0; told.length === already; turn++) {
      const device = await cloud.accept();
      // A device that has disconnected meanwhile counts as a failure, too.
      await WAYS[turn % WAYS.length]?.({ device, turn });
    }
    await telling;
  };
  await failUntilReport();
  // The cloud stops, and starts again after the device has failed to connect.
  const { port } = cloud;
  await cloud.close();
  await new Promise((resolve) => setTimeout(resolve, 200));
  cloud = await PhoenixPeer.listen({ port });
  await failUntilReport();

  // No more failures from here on.
  while (!(await staysConnected(await cloud.accept())));
  app.endInput();
  await nextReport();
  await nextReport();
  const [early, late, connected, stopped] = told;
  expect([early?.['failures'], late?.['failures']]).toEqual([200, 1_000]);
  expect(Number(late?.['heapUsed']) - Number(early?.['heapUsed'])).toBeLessThan(FLAT_BYTES);
  expect(connected).toEqual({ status: 'connected', sockets: 1 });
  expect(stopped).toEqual({ left: [] });
  // The process must exit by itself.
  expect(await app.exited(5_000)).toMatchObject({ code: 0 });
  expect(app.stderr).toBe('');
}, 60_000);

/** Accepts the device, and answers several pings; false if it disconnects. */
async function staysConnected(device: PeerConnection): Promise<boolean> {
  device.upgrade();
  try {
    for (let pings = 0; pings < 3;) {
      const { opcode, payload } = await device.frame(1_000);
      if (opcode !== 9) continue;
      device.pong(payload);
      pings++;
    }
    return true;
  } catch {
    return false;
  }
}
