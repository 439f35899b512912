/** Deliveries from our cloud to our client: what an application sees on both sides. */
import { Test } from '@nestjs/testing';
import { Fedecks, FedecksModule } from '@fedecks/nest';
import { FedecksClient, MemoryOutboxStore, MemoryTokenStore } from '@fedecks/nest/client';
import { type Cloud, PASSWORD, startCloud } from './support/cloud.js';
import { eventually } from './support/eventually.js';

let cloud: Cloud;
let fedecks: Fedecks;
let client: FedecksClient;
let devices = 0;
let id: string;
beforeAll(async () => {
  cloud = await startCloud({});
  fedecks = cloud.get(Fedecks);
});
afterAll(() => cloud.close());
beforeEach(() => {
  id = `nerves-${++devices}`;
  client = makeClient();
});
afterEach(() => client.stop());

function makeClient(outbox?: MemoryOutboxStore): FedecksClient {
  return new FedecksClient({
    url: `ws://127.0.0.1:${cloud.port}/fedecks/websocket`,
    deviceId: id,
    tokenStore: new MemoryTokenStore(),
    startDelayMs: 0,
    ...(outbox && { outbox }),
  });
}

it('reach a device that connects later, in order, and bring back what its handler returns', async () => {
  const kept = await Promise.all([1, 2, 3].map((number) => fedecks.deliver(id, 'update', { number })));
  const handled: unknown[] = [];
  client.onDelivery('update', async (payload, { attempt }) => {
    handled.push([payload, attempt]);
    return `done ${handled.length}`;
  });
  await client.login({ password: PASSWORD });
  const final = await Promise.all(kept.map((delivery) => delivery.final));
  expect(final.map(({ state, result }) => [state, result])).toEqual([
    ['done', 'done 1'],
    ['done', 'done 2'],
    ['done', 'done 3'],
  ]);
  expect(handled).toEqual([1, 2, 3].map((number) => [{ number }, 1]));
});

it('reach a device that is connected', async () => {
  client.onDelivery('update', () => undefined);
  await client.login({ password: PASSWORD });
  const delivery = await fedecks.deliver(id, 'update', 1);
  expect(await delivery.final).toMatchObject({ state: 'done', attempts: 1, result: undefined });
});

it('have the same name on both sides', async () => {
  let name: string | undefined;
  client.onDelivery('update', (_payload, context) => {
    name = context.id;
  });
  await client.login({ password: PASSWORD });
  const delivery = await fedecks.deliver(id, 'update', 1);
  await delivery.final;
  expect(delivery.id).toBe(`${id}/${name}`);
});

it('are rejected when the device has no handler for them', async () => {
  client.onDelivery('other', () => undefined);
  await client.login({ password: PASSWORD });
  const delivery = await fedecks.deliver(id, 'update', 1);
  expect(await delivery.final).toMatchObject({ state: 'rejected', code: 'no_handler' });
});

it('wait for a handler that is added later', async () => {
  await client.login({ password: PASSWORD });
  const delivery = await fedecks.deliver(id, 'update', 1);
  // An answer shows that the cloud has asked, and has not been answered before.
  expect(await client.request('echo', 1)).toBe(1);
  expect((await fedecks.deliveries.get(delivery.id))?.state).toBe('queued');
  client.onDelivery('update', () => 'late');
  expect((await delivery.final).result).toBe('late');
});

it('wait for the next connection of a device with an outbox that had no handler', async () => {
  client = makeClient(new MemoryOutboxStore());
  await client.login({ password: PASSWORD });
  expect(await (await client.deliver('echo', 1)).done).toBe('handled');
  const delivery = await fedecks.deliver(id, 'update', 1);
  client.onDelivery('update', () => 'later');
  expect(await client.request('echo', 1)).toBe(1);
  expect((await fedecks.deliveries.get(delivery.id))?.state).toBe('queued');
  await fedecks.disconnect(id);
  expect((await delivery.final).result).toBe('later');
});

it('come again when the handler fails, and do not hold up other lanes', async () => {
  const handled: string[] = [];
  client.onDelivery('flaky', (_payload, { attempt }) => {
    if (attempt === 1) throw new Error('the disk is full');
    handled.push('flaky');
  });
  client.onDelivery('alarm', () => handled.push('alarm'));
  await client.login({ password: PASSWORD });
  const flaky = await fedecks.deliver(id, 'flaky', 1);
  const alarm = await fedecks.deliver(id, 'alarm', 1, { lane: 'alarms' });
  expect((await alarm.final).state).toBe('done');
  expect(await flaky.final).toMatchObject({ state: 'done', attempts: 2 });
  expect(handled).toEqual(['alarm', 'flaky']);
});

it('go on while a handler runs over a new connection, and run once', async () => {
  let finish!: () => void;
  let calls = 0;
  client.onDelivery('slow', () => {
    calls++;
    return new Promise<void>((resolve) => (finish = resolve));
  });
  await client.login({ password: PASSWORD });
  const delivery = await fedecks.deliver(id, 'slow', 1);
  await eventually(
    () => calls,
    (count) => count === 1,
  );
  await fedecks.disconnect(id);
  await eventually(
    async () => (await fedecks.deliveries.get(delivery.id))?.attempts,
    (attempts) => attempts === 2,
  );
  finish();
  expect((await delivery.final).state).toBe('done');
  expect(calls).toBe(1);
});

it('flow beside deliveries of the device', async () => {
  client = makeClient(new MemoryOutboxStore());
  client.onDelivery('update', () => 'ok');
  const up = await Promise.all([1, 2].map((number) => client.deliver('echo', number)));
  const down = await Promise.all([1, 2].map((number) => fedecks.deliver(id, 'update', number)));
  await client.login({ password: PASSWORD });
  expect(await Promise.all(up.map(({ done }) => done))).toEqual(['handled', 'handled']);
  expect((await Promise.all(down.map(({ final }) => final))).map(({ result }) => result)).toEqual([
    'ok',
    'ok',
  ]);
});

it('are refused before the app has started', async () => {
  const module = await Test.createTestingModule({
    imports: [
      FedecksModule.forRoot({ secrets: ['x'.repeat(32)], authenticator: { authenticate: () => true } }),
    ],
  }).compile();
  await expect(module.get(Fedecks).deliver('a', 'update', 1)).rejects.toThrow('the app has not started');
});
