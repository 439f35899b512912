/** Deliveries to devices on two nodes that are linked over NATS, with raw devices. */
import { type AddressInfo, type Server } from 'node:net';
import { natsBackplane } from '@fedecks/nest/nats';
import { startApp, type StartedApp } from './support/app.js';
import { loginHeader } from './support/cloud.js';
import { eventually } from './support/eventually.js';
import { HoldingProxy } from './support/holding-proxy.js';
import { NatsServer } from './support/nats-server.js';
import { expectBinary, PROTOCOL_2, resume } from './support/raw-deliveries.js';
import { RawPeer, upgradeRequest } from './support/raw-peer.js';
import { ackOf, expectDelivery, resultOf } from './support/raw-receiving.js';
import { int, str, term, tuple } from './support/term-bytes.js';

let nats: NatsServer;
let proxy: HoldingProxy;
let one: StartedApp;
let two: StartedApp;
const peers: RawPeer[] = [];
beforeAll(async () => {
  nats = await NatsServer.start();
  proxy = await HoldingProxy.to(Number(new URL(nats.url).port));
  [one, two] = [await start(proxy.url), await start(nats.url)];
});
afterEach(() => peers.splice(0).forEach((peer) => peer.destroy()));
afterAll(async () => {
  await Promise.all([one, two].map((app) => app.close()));
  await proxy.close();
  await nats.close();
});

function start(servers: string): Promise<StartedApp> {
  const backplane = natsBackplane({ servers, requestTimeoutMs: 2_000, heartbeatMs: 500 });
  return startApp({ options: { drainMs: 0, backplane } });
}

async function open({ nest }: StartedApp, id: string): Promise<RawPeer> {
  const { port } = (nest.getHttpServer() as Server).address() as AddressInfo;
  const peer = await RawPeer.connect(port);
  peers.push(peer);
  peer.write(upgradeRequest({ headers: { ...PROTOCOL_2, 'x-fedecks-auth': loginHeader(id) } }));
  await peer.response();
  return peer;
}

/** The device answers the cloud, which has something to deliver. */
async function take(peer: RawPeer): Promise<void> {
  await expectBinary(peer, resume());
  peer.sendBinary(resume());
}

const update = (payload: number): Buffer => term(tuple(str('update'), int(payload)));

it('sends at once to a device of another node, and returns what its handler returned', async () => {
  const peer = await open(one, 'elsewhere');
  const delivery = await two.fedecks.deliver('elsewhere', 'update', 7);
  await take(peer);
  const received = await expectDelivery(peer);
  expect(received.message).toEqual(update(7));
  peer.sendBinary(resultOf(received, int(42)));
  peer.sendBinary(ackOf(received));
  expect(await delivery.final).toMatchObject({ state: 'done', result: 42, attempts: 1 });
});

it('sends to a device that connects to another node than kept the message', async () => {
  const delivery = await one.fedecks.deliver('offline', 'update', 1);
  const peer = await open(two, 'offline');
  await take(peer);
  peer.sendBinary(ackOf(await expectDelivery(peer)));
  expect((await delivery.final).state).toBe('done');
});

it('sends what was put in on another node while the node of the device was not connected to it', async () => {
  const peer = await open(one, 'cut');
  await two.fedecks.deliver('cut', 'update', 0);
  await take(peer);
  peer.sendBinary(ackOf(await expectDelivery(peer)));
  proxy.cut();
  await eventually(
    () => one.fedecks.health(),
    ({ status }) => status === 'degraded',
  );
  await expect(one.fedecks.deliver('cut', 'update', 1)).rejects.toMatchObject({ name: 'BackplaneError' });
  const delivery = await two.fedecks.deliver('cut', 'update', 2);
  proxy.restore();
  const received = await expectDelivery(peer);
  expect(received.message).toEqual(update(2));
  peer.sendBinary(ackOf(received));
  expect((await delivery.final).state).toBe('done');
});
