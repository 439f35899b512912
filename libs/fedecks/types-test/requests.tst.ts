import { type Fedecks, type FedecksEndpoint, type Term } from '@fedecks/nest';
import { type FedecksClient } from '@fedecks/nest/client';
import { type FakeDevice } from '@fedecks/nest/testing';
import { type Observable } from 'rxjs';
import { describe, expect, test } from 'tstyche';

interface Reading {
  celsius: number;
}

type Greenhouse = {
  up: { config: { version: number }; temperature: Reading };
  down: { read: { sensor: number }; reboot: null; note: string | undefined };
};

declare const fedecks: Fedecks;
declare const client: FedecksClient;
declare const device: FakeDevice;
declare const cloud: Fedecks<Greenhouse>;
declare const endpoint: FedecksEndpoint<Greenhouse>;
declare const greenhouse: FedecksClient<Greenhouse>;
declare const fake: FakeDevice<Greenhouse>;

describe('requests without a contract', () => {
  test('take any event, and any payload that can be sent', () => {
    expect(fedecks.request('id', 'x', { a: 1 })).type.toBe<Promise<Term>>();
    expect(fedecks.stream('id', 'x', null)).type.toBe<Observable<Term>>();
    expect(client.request('x', { a: 1 }, { timeoutMs: 5 })).type.toBe<Promise<Term>>();
    expect(client.request).type.toBeCallableWith('x', 1, { timeoutMs: undefined, signal: undefined });
    expect(fedecks.request).type.toBeCallableWith('id', 'x', 1, { timeoutMs: undefined, signal: undefined });
    expect(device.request).type.toBeCallableWith('x', 1, { timeoutMs: undefined, signal: undefined });
    expect(client.stream('x', null)).type.toBe<Observable<Term>>();
    expect(device.request('x', [1])).type.toBe<Promise<Term>>();
    client.onRequest('x', (payload, { signal }) => {
      expect(payload).type.toBe<Term>();
      expect(signal).type.toBe<AbortSignal>();
    });
    expect(fedecks.request).type.not.toBeCallableWith('id', 'x', new Set([1]));
    expect(fedecks.stream).type.not.toBeCallableWith('id', 'x', () => 1);
    expect(client.request).type.not.toBeCallableWith('x', Promise.resolve(1));
    expect(client.stream).type.not.toBeCallableWith('x', new Set([1]));
    expect(device.request).type.not.toBeCallableWith('x', new Set([1]));
  });

  test('take no other options', () => {
    expect(client.request).type.not.toBeCallableWith('x', 1, 5_000);
    expect(client.request).type.not.toBeCallableWith('x', 1, { timeout: 5_000 });
    expect(fedecks.request).type.not.toBeCallableWith('id', 'x', 1, { timeoutMs: '5s' });
  });
});

describe('requests with a contract', () => {
  test('of the cloud take its events', () => {
    expect(cloud.request).type.toBeCallableWith('id', 'read', { sensor: 3 });
    expect(cloud.stream).type.toBeCallableWith('id', 'reboot', null);
    expect(endpoint.request).type.toBeCallableWith('id', 'read', { sensor: 3 }, { timeoutMs: 5 });
    expect(cloud.request).type.not.toBeCallableWith('id', 'raed', { sensor: 3 });
    expect(cloud.request).type.not.toBeCallableWith('id', 'read', { sensor: '3' });
    expect(cloud.request).type.not.toBeCallableWith('id', 'config', { version: 7 });
    expect(cloud.stream).type.not.toBeCallableWith('id', 'raed', { sensor: 3 });
    expect(cloud.stream).type.not.toBeCallableWith('id', 'read', {});
    expect(endpoint.request).type.not.toBeCallableWith('id', 'read', null);
  });

  test('of the device take its events', () => {
    expect(greenhouse.request).type.toBeCallableWith('config', { version: 7 });
    expect(greenhouse.stream).type.toBeCallableWith('temperature', { celsius: 1 });
    expect(fake.request).type.toBeCallableWith('config', { version: 7 });
    expect(greenhouse.request).type.not.toBeCallableWith('confgi', { version: 7 });
    expect(greenhouse.request).type.not.toBeCallableWith('config', { version: '7' });
    expect(greenhouse.request).type.not.toBeCallableWith('read', { sensor: 3 });
    expect(greenhouse.stream).type.not.toBeCallableWith('read', { sensor: 3 });
    expect(greenhouse.stream).type.not.toBeCallableWith('temperature', { celsius: true });
    expect(fake.request).type.not.toBeCallableWith('config', null);
    expect(fake.stream).type.not.toBeCallableWith('read', { sensor: 3 });
  });

  test('are answered for the events of the cloud, with their payloads', () => {
    greenhouse.onRequest('read', (payload) => {
      expect(payload).type.toBe<{ sensor: number }>();
    });
    greenhouse.onRequest('note', (payload) => {
      expect(payload).type.toBe<string | null>();
    });
    expect(greenhouse.onRequest).type.not.toBeCallableWith('raed', () => 1);
    expect(greenhouse.onRequest).type.not.toBeCallableWith('config', () => 1);
    expect(greenhouse.onRequest).type.not.toBeCallableWith('read', (_payload: string) => 1);
  });

  test('arrive at a fake device with the payload of their event', async () => {
    const request = await fake.nextRequest();
    expect(request.event).type.toBe<'read' | 'reboot' | 'note'>();
    if (request.event === 'read') expect(request.payload).type.toBe<{ sensor: number }>();
    if (request.event === 'note') expect(request.payload).type.toBe<string | null>();
    expect((await device.nextRequest()).payload).type.toBe<Term>();
  });
});
