import { Injectable } from '@nestjs/common';
import { FedecksModule, OnSocketError, Payload, type SocketError } from '@fedecks/nest';
import { natsBackplane } from '@fedecks/nest/nats';
import { eventually } from './support/eventually.js';
import { Inbox } from './support/inbox.js';
import { NatsServer } from './support/nats-server.js';
import { type RawPeer } from './support/raw-peer.js';
import { closeCode, PasswordOnly, SECRET, Site } from './support/site.js';

const ID = 'nerves-242a';

@Injectable()
class Listener {
  readonly errors = new Inbox<SocketError>('socket error');

  @OnSocketError()
  error(@Payload() error: SocketError) {
    this.errors.put(error);
  }
}

describe('Two machines with one device id, at two nodes', () => {
  let nats: NatsServer;
  let one: Site;
  let two: Site;
  beforeEach(async () => {
    nats = await NatsServer.start();
    [one, two] = await Promise.all([start(), start()]);
  });
  afterEach(async () => {
    await Promise.all([one.close(), two.close()]);
    await nats.close();
  });

  function start(): Promise<Site> {
    const options = {
      secrets: [SECRET],
      authenticator: new PasswordOnly(),
      drainMs: 0,
      clones: 'refuse',
      backplane: natsBackplane({ servers: nats.url }),
    } as const;
    return Site.start({ imports: [FedecksModule.forRoot(options)], providers: [Listener] });
  }

  const attempt = (name: string) => ({
    headers: { 'x-fedecks-attempt': `${name[0]!.repeat(22)}/${name.slice(1)}` },
  });

  const errorsAt = (site: Site): Inbox<SocketError> => site.app.get(Listener).errors;

  it("are reported after one round; clones: 'refuse' keeps the connected one (§1.8)", async () => {
    let holder: RawPeer | undefined;
    for (const [site, name] of [
      [one, 'a1'],
      [two, 'b1'],
      [one, 'a2'],
      [two, 'b2'],
    ] as const) {
      const older = holder;
      holder = await site.open(attempt(name));
      if (older) expect(closeCode(await older.expectFrame())).toBe(4152);
      await eventually(
        () => (site === one ? two : one).fedecks.presence.get(ID),
        (entry) => entry?.state === 'online' && entry.attempt?.process === name[0]!.repeat(22),
      );
    }
    expect(await errorsAt(one).next()).toMatchObject({ deviceId: ID, type: 'clone_suspected' });

    const { response } = await one.ask(attempt('a3'));
    expect(response.statusLine).toBe('HTTP/1.1 503 Service Unavailable');
    expect(response.headers.get('x-fedecks-refusal')).toBe('another machine uses this device id');
    expect(await errorsAt(one).next()).toMatchObject({
      type: 'clone_suspected',
      info: 'rejected 127.0.0.1: another machine with this device id is connected',
    });
    expect(await one.fedecks.push(ID, 'still there?')).toBe('sent');
    await holder!.expectFrame();

    // When it has disconnected, the other machine may connect.
    holder!.destroy();
    await eventually(
      () => one.statusOf(attempt('a4')),
      (status) => status === '101 Switching Protocols',
    );
    expect(errorsAt(two).size).toBe(0);
  });
});
