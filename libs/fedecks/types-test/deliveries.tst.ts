import { type Fedecks } from '@fedecks/nest';
import {
  type Delivery,
  type DeliveryContext,
  type DeliveryOutcome,
  type FedecksClient,
  type Term,
} from '@fedecks/nest/client';
import { type FakeDelivery, type FakeDeliveryOutcome, type FakeDevice } from '@fedecks/nest/testing';
import { describe, expect, test } from 'tstyche';

type Greenhouse = {
  up: { temperature: { celsius: number } };
  down: { reboot: null; update: { url: string } };
};

declare const fedecks: Fedecks;
declare const client: FedecksClient;
declare const greenhouse: FedecksClient<Greenhouse>;
declare const delivery: Delivery;
declare const device: FakeDevice;
declare const fake: FakeDevice<Greenhouse>;

describe('deliveries', () => {
  test('take any payload that can be sent, and known options', () => {
    expect(client.deliver('x', { a: 1 }, { ttlMs: 5, key: 'k', lane: 'l', durable: 'power' })).type.toBe<
      Promise<Delivery>
    >();
    expect(client.deliver).type.toBeCallableWith('x', 1, {
      ttlMs: undefined,
      key: undefined,
      lane: undefined,
      durable: undefined,
    });
    expect(device.deliver).type.toBeCallableWith('x', 1, { key: undefined, lane: undefined });
    expect(fedecks.deliver).type.toBeCallableWith('id', 'x', 1, {
      ttlMs: undefined,
      key: undefined,
      lane: undefined,
    });
    expect(client.deliver).type.not.toBeCallableWith('x', new Set([1]));
    expect(client.deliver).type.not.toBeCallableWith('x', 1, { durable: 'tape' });
    expect(client.deliver).type.not.toBeCallableWith('x', 1, { ttl: 5 });
  });

  test('take the events of a contract that devices send', () => {
    expect(greenhouse.deliver).type.toBeCallableWith('temperature', { celsius: 21 });
    expect(greenhouse.deliver).type.not.toBeCallableWith('temperature', { celsius: '21' });
    expect(greenhouse.deliver).type.not.toBeCallableWith('reboot', null);
  });

  test('end with an outcome', () => {
    expect(delivery.done).type.toBe<Promise<DeliveryOutcome>>();
    expect<DeliveryOutcome>().type.toBe<'handled' | 'rejected' | 'expired' | 'dropped'>();
  });
});

describe('deliveries of the cloud', () => {
  test('have a payload of any kind, and a context', () => {
    client.onDelivery('anything', (payload, context) => {
      expect(payload).type.toBe<Term>();
      expect(context).type.toBe<DeliveryContext>();
      expect(context.sentAt).type.toBe<Date | undefined>();
      return { anything: payload };
    });
    expect(client.onDelivery).type.not.toBeCallableWith('anything');
  });

  test('are the events of a contract that the cloud sends, with their payload', () => {
    greenhouse.onDelivery('update', async ({ url }) => {
      expect(url).type.toBe<string>();
    });
    expect(greenhouse.onDelivery).type.not.toBeCallableWith('temperature', () => 1);
    expect(greenhouse.onDelivery).type.not.toBeCallableWith('update', (_payload: { url: number }) => 1);
  });
});

describe('deliveries of a fake device', () => {
  test('take any payload that can be sent, and known options', () => {
    expect(device.deliver('x', { a: 1 }, { key: 'k', lane: 'l' })).type.toBe<Promise<FakeDeliveryOutcome>>();
    expect(device.deliver).type.not.toBeCallableWith('x', new Set([1]));
    expect(device.deliver).type.not.toBeCallableWith('x', 1, { ttlMs: 5 });
  });

  test('take the events of a contract that devices send', () => {
    expect(fake.deliver).type.toBeCallableWith('temperature', { celsius: 21 });
    expect(fake.deliver).type.not.toBeCallableWith('temperature', { celsius: '21' });
    expect(fake.deliver).type.not.toBeCallableWith('reboot', null);
  });

  test('arrive with the payload of their event', async () => {
    const arrived = await fake.nextDelivery();
    expect(arrived.event).type.toBe<'reboot' | 'update'>();
    if (arrived.event === 'update') expect(arrived.payload).type.toBe<{ url: string }>();
    if (arrived.event === 'reboot') expect(arrived.payload).type.toBe<null>();
    expect(arrived.handled).type.toBeCallableWith({ installed: 7 });
    expect(arrived.handled).type.not.toBeCallableWith(new Set([1]));
    expect(arrived.fail).type.toBeCallableWith('invalid', 'no such version');
    expect(arrived.fail).type.not.toBeCallableWith('busy');
    expect(device.nextDelivery()).type.toBe<Promise<FakeDelivery>>();
    expect((await device.nextDelivery()).payload).type.toBe<Term>();
  });
});
