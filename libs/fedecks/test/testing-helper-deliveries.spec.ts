/** Deliveries of `FakeDevice`, with an app and with a cloud that writes its own bytes. */
import { createServer, type Server } from 'node:http';
import { BadRequestException, type INestApplication, Injectable, type PipeTransform } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Delivery, type DeliveryInfo, Fedecks, FedecksModule, OnMessage, Payload } from '@fedecks/nest';
import { FakeDevice } from '@fedecks/nest/testing';
import { WebSocketServer, type WebSocket } from 'ws';
import { Inbox } from './support/inbox.js';
import { ack, deliver, nack, resume } from './support/raw-deliveries.js';
import { chars, int, str, term, tuple } from './support/term-bytes.js';

@Injectable()
class Celsius implements PipeTransform {
  transform({ celsius }: { celsius: number }): number {
    if (celsius < -273.15) throw new BadRequestException('celsius is below absolute zero');
    return celsius;
  }
}

@Injectable()
class Station {
  readings: { celsius: number; delivery: DeliveryInfo | undefined }[] = [];
  release: () => void = () => undefined;
  failures = 0;

  @OnMessage('reading')
  save(@Payload(Celsius) celsius: number, @Delivery() delivery: DeliveryInfo | undefined): string {
    this.readings.push({ celsius, delivery });
    return 'not sent';
  }

  @OnMessage('fail')
  fail(): never {
    this.failures++;
    throw new Error('the password is swordfish');
  }

  @OnMessage('hold')
  hold(): Promise<void> {
    return new Promise((resolve) => (this.release = resolve));
  }
}

const options = { secrets: ['x'.repeat(32)], authenticator: { authenticate: () => true } };

let app: INestApplication;
let fedecks: Fedecks;
let station: Station;
let device: FakeDevice;
let devices = 0;
let id: string;
beforeAll(async () => {
  const module = await Test.createTestingModule({
    imports: [FedecksModule.forRoot(options)],
    providers: [Station],
  }).compile();
  app = module.createNestApplication();
  app.useLogger(false);
  fedecks = app.get(Fedecks);
  station = app.get(Station);
});
afterAll(() => app.close());
beforeEach(async () => {
  station.readings = [];
  station.failures = 0;
  device = await FakeDevice.connect(app, { id: (id = `device-${++devices}`), credentials: {} });
});
afterEach(() => device.disconnect());

describe('deliveries of a FakeDevice', () => {
  it('resolve when the cloud has handled them, in order, and return nothing else', async () => {
    const outcomes = [1, 2, 3].map((celsius) => device.deliver('reading', { celsius }));
    expect(await Promise.all(outcomes)).toEqual([1, 2, 3].map(() => ({ outcome: 'handled' })));
    expect(station.readings.map(({ celsius }) => celsius)).toEqual([1, 2, 3]);
    expect(station.readings[2]!.delivery).toMatchObject({ lane: 0, seq: 3, attempt: 1 });
    expect(station.readings[2]!.delivery!.ageMs).toBeLessThan(5_000);
    await fedecks.push(id, 'marker');
    expect(await device.next()).toBe('marker');
  });

  it('are rejected with the code and text of the cloud', async () => {
    expect(await device.deliver('reading', { celsius: -300 })).toEqual({
      outcome: 'rejected',
      code: 'invalid',
      text: 'celsius is below absolute zero',
    });
    expect(await device.deliver('unknown', null)).toMatchObject({ outcome: 'rejected', code: 'no_handler' });
    expect(await device.deliver('reading', { celsius: 1 })).toEqual({ outcome: 'handled' });
  });

  it('are rejected at once when the handler fails, and those behind are delivered', async () => {
    const [failed, behind] = [device.deliver('fail', null), device.deliver('reading', { celsius: 1 })];
    expect(await failed).toEqual({ outcome: 'rejected', code: 'failed', text: 'internal error' });
    expect(await behind).toEqual({ outcome: 'handled' });
    // A device would have delivered it again.
    expect(station.failures).toBe(1);
    expect(station.readings).toHaveLength(1);
  });

  it('have lanes by name, at most 8', async () => {
    for (let lane = 0; lane < 8; lane++) await device.deliver('reading', { celsius: 1 }, { lane: `${lane}` });
    await device.deliver('reading', { celsius: 2 }, { lane: '3' });
    const lanes = station.readings.map(({ delivery }) => `${delivery!.lane}/${delivery!.seq}`);
    expect(lanes).toEqual(['0/1', '1/1', '2/1', '3/1', '4/1', '5/1', '6/1', '7/1', '3/2']);
    await expect(device.deliver('reading', { celsius: 1 })).rejects.toThrow('at most 8 lanes (have: 0, 1,');
  });

  it('reject an option that does not exist', async () => {
    await expect(device.deliver('reading', 1, { durable: 'disk' } as never)).rejects.toThrow(
      "option 'durable' does not exist (have: key, lane)",
    );
  });

  it('are replaced by one with the same key in the same lane that was not sent', async () => {
    const options = { key: 'outside' };
    const outcomes = [
      device.deliver('reading', { celsius: 1 }, { lane: 'other' }),
      device.deliver('reading', { celsius: 2 }, { ...options, lane: 'other' }),
      device.deliver('reading', { celsius: 3 }, options),
      device.deliver('reading', { celsius: 4 }, options),
      device.deliver('reading', { celsius: 5 }),
      device.deliver('reading', { celsius: 6 }),
    ];
    const handled = { outcome: 'handled' };
    const replaced = { outcome: 'rejected', code: 'replaced' };
    expect(await Promise.all(outcomes)).toEqual([handled, handled, replaced, handled, handled, handled]);
    expect(station.readings.map(({ celsius }) => celsius).sort()).toEqual([1, 2, 4, 5, 6]);

    const sent = device.deliver('reading', { celsius: 7 }, options);
    expect(await device.deliver('reading', { celsius: 8 }, options)).toEqual(handled);
    expect(await sent).toEqual(handled);
  });

  it('reject when the connection ends before the outcome', async () => {
    const delivery = device.deliver('hold', null);
    const lost = expect(delivery).rejects.toThrow(
      'Nobody knows whether the delivery was handled. Its connection was closed with 1000.',
    );
    await device.disconnect();
    await lost;
    station.release();
    await expect(device.deliver('reading', { celsius: 1 })).rejects.toThrow('cannot deliver. Its connection');
  });

  it('reject where one side speaks protocol 1, and for what is no term', async () => {
    const old = await FakeDevice.connect(app, { id: 'old', credentials: {}, protocol: 1 });
    await expect(old.deliver('reading', null)).rejects.toThrow("Connect it without 'protocol: 1'");
    await old.disconnect();
    const noTerm = { celsius: Infinity };
    await expect(device.deliver('reading', noTerm)).rejects.toMatchObject({ name: 'TermEncodeError' });
  });
});

describe('deliveries of the cloud at a FakeDevice', () => {
  it('are answered by the test, with a result, and are not among its messages', async () => {
    const update = await fedecks.deliver(id, 'update', { version: 7 });
    const delivery = await device.nextDelivery();
    expect(delivery).toMatchObject({ event: 'update', payload: { version: 7 }, attempt: 1 });
    expect(delivery.ageMs).toBeGreaterThanOrEqual(0);
    expect((await fedecks.deliveries.get(update.id))?.state).toBe('sent');
    delivery.handled({ installed: 7 });
    expect(await update.final).toMatchObject({ state: 'done', result: { installed: 7 }, attempts: 1 });

    await device.deliver('reading', { celsius: 1 });
    await fedecks.push(id, 'marker');
    expect(await device.next()).toBe('marker');
  });

  it('arrive when the device has delivered before', async () => {
    await device.deliver('reading', { celsius: 1 });
    const update = await fedecks.deliver(id, 'update', null);
    (await device.nextDelivery()).handled();
    expect(await update.final).toMatchObject({ state: 'done', result: undefined });
  });

  it('arrive when the device connects, with their age', async () => {
    await device.disconnect();
    const update = await fedecks.deliver(id, 'update', null);
    const keptAt = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const waitedMs = performance.now() - keptAt;
    device = await FakeDevice.connect(app, { id, token: device.token });
    const delivery = await device.nextDelivery();
    expect(delivery.ageMs).toBeGreaterThanOrEqual(Math.floor(waitedMs) - 1);
    delivery.handled();
    expect((await update.final).state).toBe('done');
  });

  it('send no result of more than 16,384 bytes', async () => {
    // A binary has 6 bytes before its text.
    for (const [length, result] of [
      [16_378, 'x'.repeat(16_378)],
      [16_379, undefined],
    ] as const) {
      const update = await fedecks.deliver(id, 'update', null);
      (await device.nextDelivery()).handled('x'.repeat(length));
      expect(await update.final).toMatchObject({ state: 'done', result });
    }
  });

  it('can be answered after a result that is no term', async () => {
    const update = await fedecks.deliver(id, 'update', null);
    const delivery = await device.nextDelivery();
    expect(() => delivery.handled(Infinity)).toThrow();
    delivery.handled('a term');
    expect(await update.final).toMatchObject({ state: 'done', result: 'a term' });
  });

  it('are rejected with the code and text that the test gives', async () => {
    const update = await fedecks.deliver(id, 'update', null);
    (await device.nextDelivery()).fail('invalid', 'no such version');
    expect(await update.final).toMatchObject({ state: 'rejected', code: 'invalid', text: 'no such version' });
  });

  it('come again after a second when they have failed', async () => {
    const update = await fedecks.deliver(id, 'update', null);
    (await device.nextDelivery()).fail();
    const again = await device.nextDelivery();
    expect(again).toMatchObject({ event: 'update', attempt: 2 });
    again.handled();
    expect((await update.final).state).toBe('done');
  });

  it('wait for the answer to the one before in their lane only', async () => {
    const first = await fedecks.deliver(id, 'first', null);
    await fedecks.deliver(id, 'second', null);
    await fedecks.deliver(id, 'alarm', null, { lane: 'alarms' });
    const delivery = await device.nextDelivery();
    expect(delivery.event).toBe('first');
    expect((await device.nextDelivery()).event).toBe('alarm');
    await expect(device.nextDelivery(50)).rejects.toThrow(/within 50 ms: .*has answered the one before/);
    delivery.handled();
    expect((await first.final).state).toBe('done');
    expect((await device.nextDelivery()).event).toBe('second');
  });

  it('are forgotten with the connection, so that they come again', async () => {
    const update = await fedecks.deliver(id, 'update', null);
    const delivery = await device.nextDelivery();
    await device.disconnect();
    delivery.handled();
    await expect(device.nextDelivery()).rejects.toThrow(
      `No delivery from the cloud for device '${id}'. Its connection was closed with 1000.`,
    );
    device = await FakeDevice.connect(app, { id, token: device.token });
    const again = await device.nextDelivery();
    expect(again).toMatchObject({ event: 'update', attempt: 2 });
    again.handled();
    expect((await update.final).state).toBe('done');
  });
});

/** A cloud that writes and reads bytes. */
class RawCloud {
  readonly frames = new Inbox<Buffer>('frame of the device');
  private readonly sockets = new Inbox<WebSocket>('connection of the device');

  private constructor(private readonly server: Server) {
    const cloud = new WebSocketServer({ server });
    cloud.on('headers', (headers) => headers.push('x-fedecks-protocol: 2'));
    cloud.on('connection', (socket) => {
      socket.once('message', () => {
        socket.on('message', (bytes: Buffer) => this.frames.put(bytes));
        socket.send(term(tuple(chars('token'), str('t'))));
      });
      this.sockets.put(socket);
    });
  }

  static async start(): Promise<RawCloud> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new RawCloud(server);
  }

  async connect(): Promise<{ device: FakeDevice; socket: WebSocket }> {
    const listening = { getHttpServer: () => this.server, listen: async () => undefined };
    const device = await FakeDevice.connect(listening, { id: 'raw', credentials: {} });
    return { device, socket: await this.sockets.next() };
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

describe('deliveries of a FakeDevice, byte by byte', () => {
  const RESUME = Buffer.from('8368046b0006726573756d656a61086200004000', 'hex');
  const delivery = deliver(7, tuple(str('a'), int(5)), { epoch: 'e42', ageMs: 1_000 });
  let cloud: RawCloud;
  let socket: WebSocket;
  beforeEach(async () => {
    cloud = await RawCloud.start();
    ({ device, socket } = await cloud.connect());
  });
  afterEach(() => cloud.close());

  it('begin with the resume of the device, and wait for that of the cloud', async () => {
    const outcome = device.deliver('a', 5);
    expect(await cloud.frames.next()).toEqual(RESUME);
    device.send('marker');
    expect(await cloud.frames.next()).toEqual(term(str('marker')));
    socket.send(resume());
    const frame = await cloud.frames.next();
    // {'deliver', 0, 1, <epoch of 12 characters>, 1, 0, ...
    expect(frame.subarray(0, 22).toString('hex')).toBe('8368086b000764656c69766572610061016d0000000c');
    expect(frame.subarray(34, 38).toString('hex')).toBe('61016100');
    socket.send(ack(1, 8, 16_384));
    expect(await outcome).toEqual({ outcome: 'handled' });
  });

  it('are acknowledged after the result, and answered once', async () => {
    socket.send(resume());
    expect(await cloud.frames.next()).toEqual(RESUME);
    socket.send(delivery);
    const arrived = await device.nextDelivery();
    expect(arrived).toMatchObject({ event: 'a', payload: 5, attempt: 1, ageMs: 1_000 });
    arrived.handled(21);
    expect((await cloud.frames.next()).toString('hex')).toBe('8368046b0006726573756c74610061076115');
    expect((await cloud.frames.next()).subarray(0, 13).toString('hex')).toBe('8368056b000361636b61006107');
    arrived.handled(22);
    arrived.fail();
    device.send('marker');
    expect(await cloud.frames.next()).toEqual(term(str('marker')));
  });

  it('are refused when they hold no event', async () => {
    socket.send(resume());
    expect(await cloud.frames.next()).toEqual(RESUME);
    socket.send(deliver(7, int(5)));
    expect(await cloud.frames.next()).toEqual(nack(7, 'invalid', 'it is no event'));
  });

  it.each<[string, Buffer[]]>([
    ['a delivery before the resume', [delivery]],
    ['a delivery in a lane that does not exist', [resume(), deliver(7, int(5), { lane: 8 })]],
    ['a second resume', [resume(), resume()]],
    ['an ack of what was never delivered', [resume(), ack(1, 8, 16_384)]],
    ['a result', [resume(), term(tuple(chars('result'), int(0), int(1), int(8)))]],
    ['a malformed nack', [resume(), nack(1, 'no', '')]],
  ])('close with 1002 after %s', async (_what, frames) => {
    for (const frame of frames) socket.send(frame);
    expect((await device.closed).code).toBe(1002);
  });
});
