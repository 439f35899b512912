import { FedecksModule } from '@fedecks/nest';
import { FakeDevice } from '@fedecks/nest/testing';
import { type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Greenhouse } from './greenhouse.js';

describe('Greenhouse', () => {
  let app: INestApplication;

  beforeEach(async () => {
    const authenticator = { authenticate: () => true };
    const module = await Test.createTestingModule({
      imports: [FedecksModule.forRoot({ secrets: ['0123456789abcdef0123456789abcdef'], authenticator })],
      providers: [Greenhouse],
    }).compile();
    app = module.createNestApplication({ logger: false });
  });

  afterEach(async () => {
    await app.close();
  });

  it('turns the fan on above 25 degrees', async () => {
    const device = await FakeDevice.connect(app, { id: 'nerves-242a', credentials: {} });
    device.send('temperature', { celsius: 26 });
    expect(await device.next()).toEqual({ event: 'fan', data: { on: true } });
    device.send('temperature', { celsius: 1_000 });
    device.send('temperature', { celsius: 24 });
    expect(await device.next()).toEqual({ event: 'fan', data: { on: false } });
    await device.disconnect();
  });
});
