/** Deliveries of a device that moves between two nodes, with what is handled kept in NATS. */
import { type AddressInfo, type Server } from 'node:net';
import { OnMessage, Payload } from '@fedecks/nest';
import { natsBackplane } from '@fedecks/nest/nats';
import { Injectable } from '@nestjs/common';
import { startApp, type StartedApp } from './support/app.js';
import { loginHeader } from './support/cloud.js';
import { Inbox } from './support/inbox.js';
import { NatsServer } from './support/nats-server.js';
import {
  deliver,
  expectAck,
  expectBinary,
  type Handled,
  PROTOCOL_2,
  resume,
} from './support/raw-deliveries.js';
import { RawPeer, upgradeRequest } from './support/raw-peer.js';
import { int, str, tuple } from './support/term-bytes.js';

@Injectable()
class Handlers {
  readonly begun = new Inbox<number>('call of a handler');
  finish: () => void = () => undefined;

  @OnMessage('note')
  note(@Payload() payload: number) {
    this.begun.put(payload);
  }

  @OnMessage('wait')
  wait(@Payload() payload: number) {
    this.begun.put(payload);
    return new Promise<void>((resolve) => (this.finish = resolve));
  }
}

let nats: NatsServer;
let apps: StartedApp[];
beforeAll(async () => {
  nats = await NatsServer.start();
  apps = [await start(), await start()];
});
afterAll(async () => {
  for (const app of apps) await app.close();
  await nats.close();
});

function start(): Promise<StartedApp> {
  return startApp({ providers: [Handlers], options: { backplane: natsBackplane({ servers: nats.url }) } });
}

async function open({ nest }: StartedApp, id: string, handled: readonly Handled[] = []): Promise<RawPeer> {
  const { port } = (nest.getHttpServer() as Server).address() as AddressInfo;
  const peer = await RawPeer.connect(port);
  peer.write(upgradeRequest({ headers: { ...PROTOCOL_2, 'x-fedecks-auth': loginHeader(id) } }));
  await peer.response();
  peer.sendBinary(resume());
  await expectBinary(peer, resume(handled));
  return peer;
}

const event = (name: string, payload: number): Buffer => tuple(str(name), int(payload));

it('a node knows what another node has handled', async () => {
  const [one, two] = apps as [StartedApp, StartedApp];
  const peer = await open(one, 'mover');
  peer.sendBinary(deliver(1, event('note', 1)));
  await expectAck(peer, 1);
  peer.destroy();
  const moved = await open(two, 'mover', [[0, 'E', 1]]);
  moved.sendBinary(deliver(1, event('note', 1)));
  moved.sendBinary(deliver(2, event('note', 2), { epoch: '' }));
  await expectAck(moved, 1);
  await expectAck(moved, 2);
  expect(await two.nest.get(Handlers).begun.next()).toBe(2);
  moved.destroy();
});

it('a node that has lost the device does not move back what is handled', async () => {
  const [one, two] = apps as [StartedApp, StartedApp];
  const handlers = one.nest.get(Handlers);
  const peer = await open(one, 'lost');
  peer.sendBinary(deliver(1, event('wait', 5)));
  for (let begun = 0; begun !== 5;) begun = await handlers.begun.next();
  const moved = await open(two, 'lost');
  moved.sendBinary(deliver(1, event('note', 1)));
  moved.sendBinary(deliver(2, event('note', 2)));
  await expectAck(moved, 1);
  await expectAck(moved, 2);
  handlers.finish();
  moved.destroy();
  peer.destroy();
  const back = await open(one, 'lost', [[0, 'E', 2]]);
  back.sendBinary(deliver(3, event('note', 3)));
  await expectAck(back, 3);
  back.destroy();
});
