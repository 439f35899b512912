import { type Contract, type Fedecks, type Term, tuple } from '@fedecks/nest';
import { type FedecksClient } from '@fedecks/nest/client';
import { type FakeDevice } from '@fedecks/nest/testing';
import { from } from 'rxjs';
import { describe, expect, test } from 'tstyche';

interface Reading {
  celsius: number;
  at?: Date;
}

interface Tree {
  readonly children: readonly Tree[];
  readonly byName: Map<string, Tree>;
}

class Fan {
  on = true;
  toggle(): void {
    this.on = !this.on;
  }
}

class Sensor {
  readonly alarms = new Set<string>();
}

declare const fedecks: Fedecks;
declare const client: FedecksClient;
declare const device: FakeDevice;
declare const reading: Reading;
declare const tree: Tree;
declare const term: Term;
declare const validated: unknown;

describe('what may be sent', () => {
  test('takes interfaces, instances of classes, unknown and terms, in arrays and Maps too', () => {
    expect(client.send).type.toBeCallableWith('x', reading);
    expect(client.send).type.toBeCallableWith(tree);
    expect(client.send).type.toBeCallableWith('x', new Fan());
    expect(client.send).type.toBeCallableWith('x', validated);
    expect(client.send).type.toBeCallableWith(term);
    expect(client.send).type.toBeCallableWith('x', [reading, { fan: new Fan() }, new Map([['a', reading]])]);
    expect(client.send).type.toBeCallableWith(tuple('x', reading, new Fan()));
    expect(device.send).type.toBeCallableWith('x', reading);
    expect(fedecks.push).type.toBeCallableWith('id', { event: 'x', data: reading });
    expect(fedecks.broadcast).type.toBeCallableWith([reading]);
    expect(fedecks.pushToGroup).type.toBeCallableWith('group', reading);
    expect(fedecks.downstream.next).type.toBeCallableWith({ deviceId: 'id', message: reading });
    from([{ deviceId: 'id', message: reading }]).subscribe(fedecks.downstream);
  });

  test('refuses functions, Sets, symbols, Promises and other bytes, wherever they are', () => {
    expect(client.send).type.not.toBeCallableWith(() => 1);
    expect(client.send).type.not.toBeCallableWith('x', { list: [{ run: () => 1 }] });
    expect(client.send).type.not.toBeCallableWith('x', new Set([1]));
    expect(client.send).type.not.toBeCallableWith('x', new Sensor());
    expect(client.send).type.not.toBeCallableWith('x', new Map([['a', new Set([1])]]));
    expect(client.send).type.not.toBeCallableWith('x', [Symbol('x')]);
    expect(client.send).type.not.toBeCallableWith('x', Promise.resolve(1));
    expect(client.send).type.not.toBeCallableWith('x', new Float32Array(1));
    expect(tuple).type.not.toBeCallableWith('x', new Set([1]));
    expect(device.send).type.not.toBeCallableWith('x', new Set([1]));
    expect(fedecks.push).type.not.toBeCallableWith('id', { event: 'x', data: Promise.resolve(1) });
    expect(fedecks.broadcast).type.not.toBeCallableWith(new Set([1]));
    expect(fedecks.pushToGroup).type.not.toBeCallableWith('group', [() => 1]);
    expect(fedecks.downstream.next).type.not.toBeCallableWith({ deviceId: 'id', message: new Set([1]) });
  });

  test('says why', () => {
    // @ts-expect-error is not assignable to parameter of type 'CannotBeSent<"a Set: send [...set]">'
    void fedecks.broadcast(new Set([1]));
    // @ts-expect-error required in type 'CannotBeSent<"a Promise: await it">'
    void fedecks.broadcast({ value: Promise.resolve(1) });
  });
});

interface FanCommand {
  readonly on: boolean;
  readonly mode: 'auto' | 'manual';
}

interface Greenhouse extends Contract {
  up: { temperature: Reading };
  down: { fan: FanCommand; reboot: null };
}

declare const cloud: Fedecks<Greenhouse>;
declare const greenhouse: FedecksClient<Greenhouse>;

describe('a contract', () => {
  test('lets the cloud send its events, as pairs, tuples and maps', () => {
    const fan: FanCommand = { on: true, mode: 'auto' };
    void cloud.push('id', { event: 'fan', data: { on: true, mode: 'auto' } });
    void cloud.push('id', ['fan', { on: true, mode: 'auto' }]);
    void cloud.push('id', tuple('fan', { on: true, mode: 'auto' }));
    void cloud.broadcast({ event: 'reboot' });
    cloud.downstream.next({ deviceId: 'id', message: { event: 'fan', data: fan } });
  });

  test('refuses another event and another payload in the cloud', () => {
    expect(cloud.push).type.not.toBeCallableWith('id', { event: 'fam', data: { on: true, mode: 'auto' } });
    expect(cloud.push).type.not.toBeCallableWith('id', { event: 'fan', data: { on: 1, mode: 'auto' } });
    expect(cloud.push).type.not.toBeCallableWith('id', tuple('fan', { on: true }));
    expect(cloud.push).type.not.toBeCallableWith('id', reading);
    expect(cloud.broadcast).type.not.toBeCallableWith(['reboot', 1]);
    expect(cloud.downstream.next).type.not.toBeCallableWith({ deviceId: 'id', message: reading });
  });

  test('lets the device send its events only', () => {
    expect(greenhouse.send).type.toBeCallableWith('temperature', { celsius: 1 });
    expect(greenhouse.send).type.not.toBeCallableWith('temperature', { celsius: 'warm' });
    expect(greenhouse.send).type.not.toBeCallableWith('humidity', 1);
    expect(greenhouse.send).type.not.toBeCallableWith(reading);
  });

  test('types what the handlers of the device receive', () => {
    greenhouse.on('fan', (fan) => expect(fan).type.toBe<FanCommand>());
    client.on('anything', (payload) => expect(payload).type.toBe<Term>());
    expect(greenhouse.on).type.not.toBeCallableWith('temperature', () => undefined);
    expect(greenhouse.on).type.not.toBeCallableWith('fan', (_: { celsius: number }) => undefined);
  });
});
