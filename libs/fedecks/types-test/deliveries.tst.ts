import { type Delivery, type DeliveryOutcome, type FedecksClient } from '@fedecks/nest/client';
import { describe, expect, test } from 'tstyche';

type Greenhouse = { up: { temperature: { celsius: number } }; down: { reboot: null } };

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
