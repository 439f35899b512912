import {
  type BeforeApplicationShutdown,
  Global,
  Injectable,
  Module,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type Type,
} from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { FedecksModule, OnDisconnected, OnMessage } from '@fedecks/nest';
import { request } from './support/cloud.js';
import { Program } from './support/child-app.js';
import { Inbox } from './support/inbox.js';
import { eventually } from './support/eventually.js';
import { RawPeer } from './support/raw-peer.js';
import { closeCode, PasswordOnly, SECRET, Site } from './support/site.js';
import { chars, str, term, tuple } from './support/term-bytes.js';

let seen: string[];
beforeEach(() => {
  seen = [];
});

/** A module's database, which closes in the first shutdown hook. */
function database(name: string): Type<OnModuleDestroy & BeforeApplicationShutdown & OnApplicationShutdown> {
  @Injectable()
  class Database implements OnModuleDestroy, BeforeApplicationShutdown, OnApplicationShutdown {
    onModuleDestroy() {
      seen.push(`${name} destroyed`);
    }

    beforeApplicationShutdown() {
      seen.push(`${name} before shutdown`);
    }

    onApplicationShutdown() {
      seen.push(`${name} shut down`);
    }
  }
  return Database;
}

const GlobalDatabase = database('global');
const FeatureDatabase = database('feature');
const RootDatabase = database('root');

@Global()
@Module({ providers: [GlobalDatabase], exports: [GlobalDatabase] })
class GlobalModule {}

@Module({ providers: [FeatureDatabase], exports: [FeatureDatabase] })
class FeatureModule {}

@Injectable()
class Work {
  readonly handling = new Inbox<() => void>('message that is handled');

  @OnMessage()
  async any() {
    await new Promise<void>((resolve) => this.handling.put(resolve));
    seen.push('handled');
    return 'done';
  }

  @OnDisconnected()
  async gone() {
    await new Promise((resolve) => setTimeout(resolve, 50));
    seen.push('disconnected');
  }
}

describe.each([
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
])('With %s, app.close()', (_, adapter) => {
  it("runs the app's shutdown hooks only after handlers and @OnDisconnected have finished", async () => {
    const site = await Site.start(
      {
        imports: [
          GlobalModule,
          FeatureModule,
          FedecksModule.forRoot({ secrets: [SECRET], authenticator: new PasswordOnly() }),
        ],
        providers: [RootDatabase, Work],
      },
      { adapter: adapter() },
    );
    const device = await site.open();
    device.sendBinary(term(str('work')));
    const finish = await site.app.get(Work).handling.next();

    const closing = site.app.close();
    expect(await site.statusOf({ deviceId: 'new' })).toBe('503 Service Unavailable');
    expect(seen).toEqual([]);
    finish();
    expect((await device.expectFrame()).payload).toEqual(term(str('done')));
    expect(closeCode(await device.expectFrame())).toBe(4000);
    device.end();
    await closing;
    expect(seen.slice(0, 2)).toEqual(['handled', 'disconnected']);
    expect(seen).toHaveLength(2 + 9);
    await site.close();
  });

  it('waits for the handlers of a device that has already disconnected', async () => {
    const providers = [RootDatabase, Work];
    const fedecks = FedecksModule.forRoot({ secrets: [SECRET], authenticator: new PasswordOnly() });
    const site = await Site.start({ imports: [fedecks], providers }, { adapter: adapter() });
    const device = await site.open();
    device.sendBinary(term(str('work')));
    const finish = await site.app.get(Work).handling.next();
    device.reset();
    await eventually(
      () => site.fedecks.devices().length,
      (count) => count === 0,
    );
    const closing = site.app.close();
    expect(await site.statusOf({ deviceId: 'new' })).toBe('503 Service Unavailable');
    expect(seen).toEqual([]);
    finish();
    await closing;
    expect(seen.slice(0, 2)).toEqual(['handled', 'disconnected']);
    await site.close();
  });
});

it('a process with the default drainMs and many devices exits within the 10 s of docker stop', async () => {
  const program = await Program.compile('draining-app.ts');
  const app = program.start(['default', '0']);
  const peers: RawPeer[] = [];
  try {
    const port = Number((await app.line()).split(' ')[1]);
    for (let count = 0; count < 300; count++) {
      const peer = await RawPeer.connect(port);
      peers.push(peer);
      peer.write(request({ deviceId: `device-${count}` }));
      expect((await peer.response()).statusLine).toContain('101');
    }
    const [hung, silent] = peers;
    hung!.sendBinary(term(chars('token_please')));
    await hung!.expectFrame();
    hung!.sendBinary(term(tuple(str('hang'), str(''))));
    expect(await app.line()).toBe('handling');
    silent!.pause();
    app.kill('SIGTERM');
    const signalled = performance.now();
    const exit = await app.exited(10_000);
    expect(exit.signal).toBe('SIGTERM');
    expect(exit.at - signalled).toBeGreaterThan(4_500);
    expect(exit.at - signalled).toBeLessThan(8_500);
  } finally {
    for (const peer of peers) peer.destroy();
    app.dispose();
  }
});
