/** Deliveries of a raw cloud to a device that is a Nest app (PROTOCOL.md §6.4). */
import {
  HttpException,
  Injectable,
  type LoggerService,
  ParseIntPipe,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { stop } from '@fedecks/nest';
import {
  AbortSignal as Signal,
  Delivery,
  type DeliveryInfo,
  DeviceId,
  FedecksClient,
  FedecksClientModule,
  MemoryTokenStore,
  OnMessage,
  Payload,
} from '@fedecks/nest/client-nest';
import { type Term } from '@fedecks/nest/wire';
import { map, type Observable, of } from 'rxjs';
import { Inbox } from './support/inbox.js';
import { type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';
import { acceptReceiver, expectBytes, expectSilence } from './support/raw-cloud.js';
import { ack, deliver, nack, result } from './support/raw-deliveries.js';
import { int, str, strMap, term, tuple } from './support/term-bytes.js';

const ID = 'nerves-242a';

class Never {
  canActivate(): boolean {
    return false;
  }
}

class Doubling {
  intercept(_context: unknown, next: { handle(): Observable<number> }): Observable<number> {
    return next.handle().pipe(map((value) => 2 * value));
  }
}

@Injectable()
class Updates {
  readonly happened = new Inbox<unknown>('call of a handler');
  release: () => void = () => undefined;

  @OnMessage('update')
  update(
    @Payload('url') url: string,
    @Delivery() delivery: DeliveryInfo | undefined,
    @DeviceId() id: string,
  ) {
    this.happened.put({ url, delivery, id });
    return 'updated';
  }

  @OnMessage('values')
  values() {
    return of(1, 2);
  }

  @OnMessage('doubled')
  @UseInterceptors(Doubling)
  doubled() {
    return 21;
  }

  @OnMessage('nothing')
  nothing() {
    // Returns nothing.
  }

  @OnMessage('number')
  number(@Payload(ParseIntPipe) number: number) {
    return number;
  }

  @OnMessage('guarded')
  @UseGuards(Never)
  guarded() {
    return 'never';
  }

  @OnMessage('boom')
  boom() {
    throw new Error('the password is swordfish');
  }

  @OnMessage('broken')
  broken() {
    throw new HttpException('the disk is full', 507);
  }

  @OnMessage('stop')
  stop() {
    return stop();
  }

  @OnMessage('wait')
  async wait(@Payload() payload: Term) {
    this.happened.put(payload);
    await new Promise<void>((resolve) => (this.release = resolve));
  }

  @OnMessage('note')
  note(@Payload() payload: Term) {
    this.happened.put(payload);
  }

  @OnMessage('hang')
  hang(@Signal() signal: AbortSignal) {
    this.happened.put('begun');
    return new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        this.happened.put('aborted');
        resolve();
      });
    });
  }
}

/** Records the device's log: `error` and `warn` only. */
class Log implements LoggerService {
  readonly lines: string[] = [];
  log(): void {
    // Not recorded.
  }
  error(message: unknown): void {
    this.lines.push(`error: ${String(message)}`);
  }
  warn(message: unknown): void {
    this.lines.push(`warn: ${String(message)}`);
  }
}

let cloud: PhoenixPeer;
let device: PeerConnection;
let app: TestingModule;
let log: Log;
let happened: Inbox<unknown>;
let updates: Updates;

beforeEach(async () => {
  cloud = await PhoenixPeer.listen();
  log = new Log();
  app = await Test.createTestingModule({
    imports: [
      FedecksClientModule.forRoot({
        url: cloud.url,
        deviceId: ID,
        tokenStore: new MemoryTokenStore('t'),
        startDelayMs: 0,
        retryMinMs: 1,
        retryMaxMs: 5,
        closeTimeoutMs: 50,
      }),
    ],
    providers: [Updates],
  })
    .setLogger(log)
    .compile();
  await app.init();
  updates = app.get(Updates);
  ({ happened } = updates);
  device = await acceptReceiver(cloud);
});

afterEach(async () => {
  await app.close();
  await cloud.close();
});

function handled(seq: number, bytes: Buffer, lane = 0): Buffer {
  return ack(seq, 9, 16_384 + bytes.length, lane);
}

const event = (name: string, payload: Uint8Array = Buffer.from([0x6a])): Buffer => tuple(str(name), payload);

describe('an @OnMessage method of a device', () => {
  it('handles a delivery, and what it returns is the result', async () => {
    const bytes = deliver(7, event('update', strMap({ url: str('x') })), { lane: 2, epoch: 'e42' });
    device.binary(bytes);
    await expectBytes(device, result(7, str('updated'), 2), handled(7, bytes, 2));
    expect(await happened.next()).toEqual({
      url: 'x',
      id: ID,
      delivery: {
        lane: 2,
        seq: 7,
        epoch: 'e42',
        attempt: 1,
        ageMs: undefined,
        sentAt: undefined,
        key: 'nerves-242a/e42/2/7',
        commit: expect.any(Function) as unknown,
      },
    });
  });

  it('gets no delivery with a message that was only sent', async () => {
    device.binary(term(event('update', strMap({ url: str('x') }))));
    expect(await happened.next()).toEqual({ url: 'x', id: ID, delivery: undefined });
  });

  it.each([
    ['a pipe lets it through', event('number', str('12')), int(12)],
    ['an interceptor changes its value', event('doubled'), int(42)],
    ['it returns nothing', event('nothing'), undefined],
    ['it returns a stream', event('values'), undefined],
  ])('acknowledges when %s', async (_what, message, value) => {
    const bytes = deliver(1, message);
    device.binary(bytes);
    if (value) await expectBytes(device, result(1, value));
    await expectBytes(device, handled(1, bytes));
  });

  it.each([
    ['a pipe refuses', 'number', 'invalid', 'Validation failed (numeric string is expected)'],
    ['a guard refuses', 'guarded', 'invalid', 'Forbidden resource'],
    ['it throws', 'boom', 'failed', 'internal error'],
    ['it throws an HttpException', 'broken', 'failed', 'the disk is full'],
    ['it is missing', 'unknown', 'no_handler', 'no handler takes this event'],
  ])('nacks when %s', async (_what, name, code, text) => {
    device.binary(deliver(1, event(name, str('seven'))));
    await expectBytes(device, nack(1, code, text));
    expect(log.lines).toHaveLength(1);
    expect(log.lines[0]).not.toContain('swordfish');
  });

  it('names the handler that throws in the log', async () => {
    device.binary(deliver(1, event('boom')));
    await device.frame();
    expect(log.lines).toEqual(['error: Updates.boom failed']);
  });

  it('acknowledges when it returns stop(), which is for the cloud, and logs that', async () => {
    const bytes = deliver(1, event('stop'));
    device.binary(bytes);
    await expectBytes(device, handled(1, bytes));
    expect(log.lines).toEqual([expect.stringMatching(/^error: A handler returned stop\(\)/)]);
  });

  it('does not wait for messages, nor for deliveries of other lanes; and messages do not wait for it', async () => {
    device.binary(term(event('wait', str('message'))));
    expect(await happened.next()).toBe('message');
    device.binary(deliver(1, event('wait', str('lane 0'))));
    expect(await happened.next()).toBe('lane 0');
    const other = deliver(1, event('note', str('lane 1')), { lane: 1 });
    device.binary(other);
    await expectBytes(device, handled(1, other, 1));
    expect(await happened.next()).toBe('lane 1');
  });

  it('goes on when the connection ends, and has its signal aborted when the app ends', async () => {
    device.binary(deliver(1, event('hang')));
    expect(await happened.next()).toBe('begun');
    device.reset();
    device = await acceptReceiver(cloud);
    await expectSilence(device);
    expect(happened.size).toBe(0);
    await app.close();
    expect(await happened.next()).toBe('aborted');
  });
});

describe('client.onDelivery in a Nest app', () => {
  it('comes before methods, and is not called for messages and requests', async () => {
    const client = app.get(FedecksClient);
    const remove = client.onDelivery('note', (payload, { id }) => {
      happened.put({ payload, id });
      return 'of the function';
    });
    const bytes = deliver(1, event('note', int(1)));
    device.binary(bytes);
    await expectBytes(device, result(1, str('of the function')), handled(1, bytes));
    expect(await happened.next()).toEqual({ payload: 1, id: 'E/0/1' });
    device.binary(term(event('note', int(2))));
    expect(await happened.next()).toBe(2);
    remove();
    device.binary(deliver(2, event('note', int(3))));
    expect(await happened.next()).toBe(3);
  });

  it('nacks when it throws, and logs that', async () => {
    app.get(FedecksClient).onDelivery('note', () => {
      throw new Error('the password is swordfish');
    });
    device.binary(deliver(1, event('note')));
    await expectBytes(device, nack(1, 'failed', 'internal error'));
    expect(log.lines).toEqual(['error: The handler of onDelivery() failed']);
  });
});
