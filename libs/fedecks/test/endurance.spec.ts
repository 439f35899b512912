import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileTokenStore } from '@fedecks/nest/client';
import { type ChildApp, Program } from './support/child-app.js';
import { type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';
import { chars, str, term, tuple } from './support/term-bytes.js';

/** Memory that comes and goes between two collections; 800 leaks of 1.3 KiB are more. */
const FLAT_BYTES = 1024 * 1024;

let program: Program;
let directory: string;
let app: ChildApp;
let cloud: PhoenixPeer;

beforeAll(async () => {
  program = await Program.compile('enduring-device.ts');
  directory = await mkdtemp(join(tmpdir(), 'fedecks-endurance-'));
  await new FileTokenStore(directory, 'nerves-242a').save('stored-token');
  cloud = await PhoenixPeer.listen();
});

afterAll(async () => {
  app.dispose();
  await cloud.close();
  await program.remove();
  await rm(directory, { recursive: true });
});

/** A connection of the device, and how many there were before. */
interface Visit {
  readonly device: PeerConnection;
  readonly turn: number;
}

/** Lets the device in, and waits until it has said something, or is gone. */
async function letIn({ device }: Visit): Promise<PeerConnection> {
  device.upgrade();
  await Promise.race([device.frame(500).catch(() => undefined), device.gone]);
  return device;
}

function closeWith(code: number) {
  return async (visit: Visit): Promise<void> => {
    const device = await letIn(visit);
    device.close(code);
    device.fin();
  };
}

function isRare({ turn }: Visit): boolean {
  return turn % 4 === 0;
}

/** The ways a connection is made to fail, in turn. */
const WAYS: readonly ((visit: Visit) => unknown)[] = [
  closeWith(1000),
  async (visit) => (await letIn(visit)).reset(),
  // Half open: no frame comes any more, and nothing ends. It takes long, so only sometimes.
  async (visit) => {
    const device = await letIn(visit);
    if (isRare(visit)) await device.gone;
    else device.fin();
  },
  ({ device }) => device.refuse(503, 'retry-after: 0\r\n'),
  closeWith(4000),
  ({ device }) => device.refuse(403, 'connection: keep-alive\r\n'),
  async (visit) => (await letIn(visit)).fin(),
  closeWith(4152),
  ({ device }) => device.reset(),
  async (visit) => {
    const device = await letIn(visit);
    device.binary(term(tuple(chars('token'), str(`token-${visit.turn}`))));
    // A frame with bits that nobody has agreed on.
    device.write(Buffer.from('f20101', 'hex'));
  },
  ({ device }) => device.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'),
  closeWith(1011),
  // Half open before the upgrade: nothing is answered.
  (visit) => (isRare(visit) ? visit.device.gone : visit.device.fin()),
];

it('after 1,000 disconnects in a row a device is connected, and has leaked no timer, socket, listener or memory', async () => {
  app = program.start([cloud.url, directory], { options: ['--expose-gc'] });
  const told: Record<string, unknown>[] = [];
  const tells = async (): Promise<void> => {
    told.push(JSON.parse(await app.line(50_000)) as Record<string, unknown>);
  };

  /** Fails the device until it has told something. */
  const failIt = async (): Promise<void> => {
    const already = told.length;
    const telling = tells();
    for (let turn = 0; told.length === already; turn++) {
      const device = await cloud.accept();
      // A device that has gone by itself in the meantime has failed, too.
      await WAYS[turn % WAYS.length]?.({ device, turn });
    }
    await telling;
  };
  await failIt();
  // The whole cloud goes, and comes back when the device has asked for it in vain.
  const { port } = cloud;
  await cloud.close();
  await new Promise((resolve) => setTimeout(resolve, 200));
  cloud = await PhoenixPeer.listen({ port });
  await failIt();

  // From now on everything is well.
  while (!(await lives(await cloud.accept())));
  app.endInput();
  await tells();
  await tells();
  const [early, late, connected, stopped] = told;
  expect([early?.['failures'], late?.['failures']]).toEqual([200, 1_000]);
  expect(Number(late?.['heapUsed']) - Number(early?.['heapUsed'])).toBeLessThan(FLAT_BYTES);
  expect(connected).toEqual({ status: 'connected', sockets: 1 });
  expect(stopped).toEqual({ left: [] });
  // Nothing keeps it running.
  expect(await app.exited(5_000)).toMatchObject({ code: 0 });
  expect(app.stderr).toBe('');
}, 60_000);

/** Lets the device in, and answers its pings, of which there are some: false if it goes nevertheless. */
async function lives(device: PeerConnection): Promise<boolean> {
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
