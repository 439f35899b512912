import { type Server } from 'node:http';
import { type Duplex, Readable } from 'node:stream';
import {
  Body,
  Controller,
  Get,
  type INestApplication,
  Injectable,
  Param,
  Post,
  StreamableFile,
  type Type,
} from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { WebSocketGateway } from '@nestjs/websockets';
import { FedecksModule, OnMessage, Payload } from '@fedecks/nest';
import { type Term } from '@fedecks/nest/wire';
import { Inbox } from './support/inbox.js';
import { OPCODE, type RawPeer, upgradeRequest } from './support/raw-peer.js';
import { PasswordOnly, SECRET, Site } from './support/site.js';
import { str, term } from './support/term-bytes.js';

const PART = 64 * 1024;
const LARGE = 128 * PART;

@Controller()
class Pages {
  readonly held = new Inbox<() => void>('request that is held');

  @Get('page/:number')
  page(@Param('number') number: string) {
    return { page: number };
  }

  @Get('held')
  async hold() {
    await new Promise<void>((resolve) => this.held.put(resolve));
    return { page: 'held' };
  }

  @Get('large')
  large() {
    function* parts() {
      yield '{"page":"';
      for (let sent = 0; sent < LARGE; sent += PART) yield 'x'.repeat(PART);
      yield '"}';
    }
    return new StreamableFile(Readable.from(parts(), { objectMode: false }), { length: LARGE + 11 });
  }

  @Post('form')
  form(@Body() body: unknown) {
    return { received: body };
  }
}

@Injectable()
class Echo {
  @OnMessage()
  any(@Payload() message: Term) {
    return message;
  }
}

@WebSocketGateway({ path: '/chat' })
class Chat {}

/** The offer of HTTP/2 that Java's HTTP client adds to each request. */
function offer(request: string, body = ''): string {
  return (
    `${request} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n` +
    `HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}

const plain = (request: string): string => `${request} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;

function pagesIn(peer: RawPeer): string[] {
  const text = Buffer.concat(peer.reads).toString('latin1');
  return [...text.matchAll(/\{"page":"([^"]*)"\}/g)].map(([, page = '']) => page);
}

/** The pages in the responses, in order, once this many have arrived. */
async function pages(peer: RawPeer, count: number): Promise<string[]> {
  const deadline = performance.now() + 20_000;
  for (let found = pagesIn(peer); ; found = pagesIn(peer)) {
    if (found.length >= count) return found;
    if (performance.now() > deadline) throw new Error(`${found.length} of ${count} responses`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

let site: Site;
afterEach(() => site.close());

async function start(prepare?: (app: INestApplication) => void, providers: Type[] = [Echo]): Promise<void> {
  const fedecks = FedecksModule.forRoot({ secrets: [SECRET], authenticator: new PasswordOnly(), drainMs: 0 });
  site = await Site.start(
    { imports: [fedecks], controllers: [Pages], providers },
    { ...(prepare && { prepare }) },
  );
}

const GATEWAYS: [string, ((app: INestApplication) => void) | undefined][] = [
  ['no other gateway', undefined],
  ['a gateway of ws', (app) => void app.useWebSocketAdapter(new WsAdapter(app))],
  ['a gateway of socket.io', (app) => void app.useWebSocketAdapter(new IoAdapter(app))],
];

describe.each(GATEWAYS)('With %s, an offer of h2c', (_, prepare) => {
  beforeEach(() => start(prepare, prepare ? [Echo, Chat] : [Echo]));

  it('is handled as an ordinary request (RFC 9110 §7.8), and the connection stays open', async () => {
    const peer = await site.connect();
    peer.write(offer('GET /page/1'));
    await pages(peer, 1);
    peer.write(offer('POST /form', '{"page":"2"}'));
    await pages(peer, 2);
    peer.write(plain('GET /page/3'));
    expect(await pages(peer, 3)).toEqual(['1', '2', '3']);
  });

  it('is answered in order among pipelined requests', async () => {
    const peer = await site.connect();
    peer.write(
      plain('GET /held') + offer('GET /page/1') + offer('POST /form', '{"page":"2"}') + plain('GET /page/3'),
    );
    const finish = await site.app.get(Pages).held.next();
    expect(pagesIn(peer)).toEqual([]);
    finish();
    expect(await pages(peer, 4)).toEqual(['held', '1', '2', '3']);
  });

  it("of the endpoint's path is answered with 403 without authentication", async () => {
    const peer = await site.connect();
    peer.write(offer('GET /fedecks/websocket'));
    expect((await peer.response()).statusLine).toBe('HTTP/1.1 403 Forbidden');
  });
});

describe('Offers of h2c', () => {
  it('are answered when 300 are pipelined, while a device is served', async () => {
    await start();
    const [device, peer] = [await site.open(), await site.connect()];
    peer.write(Array.from({ length: 300 }, (_, index) => offer(`GET /page/${index}`)).join(''));
    await pages(peer, 1);
    device.sendBinary(term(str('hello')));
    expect((await device.expectFrame()).opcode).toBe(OPCODE.binary);
    expect(pagesIn(peer).length).toBeLessThan(300);
    expect(await pages(peer, 300)).toEqual(Array.from({ length: 300 }, (_, index) => String(index)));
  });

  it('do not truncate a large response before them', async () => {
    await start();
    const peer = await site.connect();
    peer.pause();
    peer.write(plain('GET /large') + offer('GET /page/1'));
    await new Promise((resolve) => setTimeout(resolve, 100));
    peer.resume();
    expect((await pages(peer, 2)).map((page) => page.length)).toEqual([LARGE, 1]);
  });

  it('are dropped with a connection that is reset, and affect no other connection', async () => {
    await start();
    const peer = await site.connect();
    peer.write(plain('GET /held') + offer('GET /page/1'));
    const finish = await site.app.get(Pages).held.next();
    peer.reset();
    const other = await site.connect();
    other.write(offer('GET /page/2'));
    expect(await pages(other, 1)).toEqual(['2']);
    finish();
    other.write(offer('GET /page/3'));
    expect(await pages(other, 2)).toEqual(['2', '3']);
  });

  it("are left to the app's own upgrade listener for another protocol", async () => {
    await start((app) => {
      (app.getHttpServer() as Server).on('upgrade', (request, socket: Duplex) => {
        if (request.headers.upgrade === 'own/1') socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n');
      });
    });
    const peer = await site.connect();
    peer.write(upgradeRequest({ target: '/page/1', headers: { upgrade: 'own/1' } }));
    expect((await peer.response()).statusLine).toContain('101');
    const other = await site.connect();
    other.write(offer('GET /page/2'));
    expect(await pages(other, 1)).toEqual(['2']);
  });
});
