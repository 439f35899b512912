import {
  type Delivery,
  type DeliveryContext,
  type DeliveryOutcome,
  type FedecksClient,
  type Term,
} from '@fedecks/nest/client';
import { describe, expect, test } from 'tstyche';

type Greenhouse = {
  up: { temperature: { celsius: number } };
  down: { reboot: null; update: { url: string } };
};

declare const client: FedecksClient;
declare const greenhouse: FedecksClient<Greenhouse>;
declare const delivery: Delivery;

describe('deliveries', () => {
  test('take any payload that can be sent, and known options', () => {
    expect(client.deliver('x', { a: 1 }, { ttlMs: 5, key: 'k', lane: 'l', durable: 'power' })).type.toBe<
      Promise<Delivery>
    >();
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
