/** Handlers and observers that act on their own connection while they are being called. */
import { Injectable } from '@nestjs/common';
import {
  type Claims,
  DeviceId,
  Fedecks,
  type FedecksOptions,
  FedecksModule,
  OnConnected,
  OnDisconnected,
  OnMessage,
  OnSocketError,
  Payload,
  type SocketError,
  stop,
} from '@fedecks/nest';
import { eventually } from './support/eventually.js';
import { Inbox } from './support/inbox.js';
import { frame, OPCODE } from './support/raw-peer.js';
import { SECRET, Site } from './support/site.js';
import { str, term, tuple } from './support/term-bytes.js';

/** The recorded calls, in order. */
let order: string[];

@Injectable()
class Reentrant {
  readonly errors = new Inbox<SocketError>('socket error');
  stopAtOnce = false;

  constructor(private readonly fedecks: Fedecks) {}

  @OnConnected()
  hello() {
    order.push('connected');
    return this.stopAtOnce ? stop() : undefined;
  }

  @OnConnected()
  helloAgain() {
    order.push('connected, second');
  }

  @OnMessage('leave')
  leave(@DeviceId() id: string) {
    order.push('leave begins');
    void this.fedecks.disconnect(id);
    order.push('leave ends');
  }

  @OnMessage('leave slowly')
  async leaveSlowly(@DeviceId() id: string) {
    order.push('leave begins');
    void this.fedecks.disconnect(id);
    await new Promise((resolve) => setTimeout(resolve, 20));
    order.push('leave ends');
  }

  @OnMessage()
  any() {
    order.push('message');
  }

  @OnDisconnected()
  gone() {
    order.push('disconnected');
  }

  @OnSocketError()
  error(@Payload() error: SocketError) {
    this.errors.put(error);
  }
}

let site: Site;
beforeEach(() => (order = []));
afterEach(() => site.close());

async function start(given: Partial<FedecksOptions> = {}): Promise<void> {
  const authenticator = { authenticate: () => true };
  site = await Site.start({
    imports: [FedecksModule.forRoot({ secrets: [SECRET], authenticator, drainMs: 0, ...given })],
    providers: [Reentrant],
  });
}

const event = (name: string): Buffer => frame(OPCODE.binary, term(tuple(str(name), str(''))));

/** The calls once the expected number has been reached, plus 50 ms for unexpected ones. */
async function orderUntilGone(expected: number): Promise<string[]> {
  await eventually(
    () => order.length,
    (count) => count >= expected,
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  return order;
}

describe('@OnDisconnected', () => {
  it.each(['leave', 'leave slowly'])(
    'runs after the handler that disconnects its own device: %s',
    async (name) => {
      await start();
      const device = await site.open();
      order = [];
      device.write(event(name));
      expect(await orderUntilGone(3)).toEqual(['leave begins', 'leave ends', 'disconnected']);
    },
  );

  it('runs after the message when an observer of messages$ disconnects its device', async () => {
    await start();
    const device = await site.open();
    order = [];
    site.fedecks.messages$.subscribe((message) => void site.fedecks.disconnect(message.device.id));
    device.write(event('anything'));
    expect(await orderUntilGone(2)).toEqual(['message', 'disconnected']);
  });

  it('runs after @OnConnected when an observer of connections$ disconnects the device at once', async () => {
    await start();
    site.fedecks.connections$.subscribe(({ type, device }) => {
      if (type === 'connected') void site.fedecks.disconnect(device.id);
    });
    await site.ask();
    expect(await orderUntilGone(3)).toEqual(['connected', 'connected, second', 'disconnected']);
  });

  it('runs after all @OnConnected handlers when one of them stops', async () => {
    await start();
    site.app.get(Reentrant).stopAtOnce = true;
    await site.ask();
    expect(await orderUntilGone(3)).toEqual(['connected', 'connected, second', 'disconnected']);
  });
});

describe('claims that no longer serialize to JSON', () => {
  it('are reported when a token is due, and end neither the process nor the connection', async () => {
    const claims: Record<string, unknown> = {};
    await start({ authenticator: { authenticate: () => ({ claims: claims as Claims }) } });
    const device = await site.open();
    claims['self'] = claims;
    device.sendBinary('836b000c746f6b656e5f706c65617365');
    expect(await site.app.get(Reentrant).errors.next()).toMatchObject({ type: 'handler_failed' });
    device.write(event('anything'));
    expect(await orderUntilGone(3)).toContain('message');
  });
});
