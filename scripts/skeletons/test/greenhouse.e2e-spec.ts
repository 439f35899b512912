import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { AppModule } from './../src/app.module.js';

describe('a device (e2e)', () => {
  let app: INestApplication;
  let port: number;

  beforeEach(async () => {
    const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
    app = module.createNestApplication();
    await app.listen(0, '127.0.0.1');
    port = (app.getHttpServer().address() as { port: number }).port;
  });

  afterEach(async () => {
    await app.close();
  });

  it.each([
    ['fedecks', { event: 'fan', data: { on: true } }],
    ['cellar', 'cellar'],
  ])('logs in at /%s and gets a reply', async (path, expected) => {
    const url = `ws://127.0.0.1:${port}/${path}/websocket`;
    const client = new FedecksClient({ url, deviceId: 'nerves-242a', tokenStore: new MemoryTokenStore() });
    const reply = new Promise((resolve) => client.messages$.subscribe(resolve));
    await client.start();
    await client.login({ username: 'greenhouse', password: process.env.GREENHOUSE_PASSWORD ?? '' });
    await client.send('temperature', { celsius: 27.5 });
    expect(await reply).toEqual(expected);
    await client.stop();
  });
});
