import { type Contract, type Fedecks, type Term, tuple } from '@fedecks/nest';
import { type Credentials, type FedecksClient } from '@fedecks/nest/client';
import { FakeDevice } from '@fedecks/nest/testing';
import { encodeTerm } from '@fedecks/nest/wire';
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

interface Plugin {
  readonly name: string;
  /** A method that not every plugin has. */
  describe?(): string;
}

interface Callback {
  readonly run: (() => void) | undefined;
}

type Celsius = number & { readonly brand: 'celsius' };

enum Level {
  Low,
  High,
}

declare const fedecks: Fedecks;
declare const client: FedecksClient;
declare const device: FakeDevice;
declare const app: Parameters<typeof FakeDevice.connect>[0];
declare const credentials: Credentials;
declare const reading: Reading;
declare const tree: Tree;
declare const term: Term;
declare const validated: unknown;
declare const plugin: Plugin;
declare const callback: Callback;
declare const celsius: Celsius;

describe('what may be sent', () => {
  test('takes interfaces, instances of classes, unknown and terms, in arrays and Maps too', () => {
    expect(client.send).type.toBeCallableWith('x', reading);
    expect(client.send).type.toBeCallableWith(tree);
    expect(client.send).type.toBeCallableWith('x', new Fan());
    expect(client.send).type.toBeCallableWith('x', validated);
    expect(client.send).type.toBeCallableWith(term);
    expect(client.send).type.toBeCallableWith('x', plugin);
    expect(client.send).type.toBeCallableWith('x', { celsius, level: Level.High, big: 1n, at: new Date() });
    expect(client.send).type.toBeCallableWith('x', [undefined, null, Buffer.from('x'), reading] as const);
    expect(client.send).type.toBeCallableWith('x', JSON.parse('1'));
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
    expect(client.send).type.not.toBeCallableWith('x', Fan);
    expect(client.send).type.not.toBeCallableWith('x', { Fan });
    expect(client.send).type.not.toBeCallableWith('x', callback);
    expect(client.send).type.not.toBeCallableWith('x', new Set([1]));
    expect(client.send).type.not.toBeCallableWith('x', new Sensor());
    expect(client.send).type.not.toBeCallableWith('x', new Map([['a', new Set([1])]]));
    expect(client.send).type.not.toBeCallableWith('x', [Symbol('x')]);
    expect(client.send).type.not.toBeCallableWith('x', Promise.resolve(1));
    expect(client.send).type.not.toBeCallableWith('x', new Float32Array(1));
    expect(client.send).type.not.toBeCallableWith('x', new DataView(new ArrayBuffer(1)));
    expect(client.send).type.not.toBeCallableWith('x', new ArrayBuffer(1));
    expect(client.send).type.not.toBeCallableWith('x', new SharedArrayBuffer(1));
    expect(client.send).type.not.toBeCallableWith('x', new Map([[Symbol('x'), 1]]));
    expect(client.send).type.not.toBeCallableWith('x', Math.random() < 1 ? 1 : new Set([1]));
    expect(tuple).type.not.toBeCallableWith('x', new Set([1]));
    expect(encodeTerm).type.not.toBeCallableWith({ set: new Set([1]) });
    expect(encodeTerm).type.toBeCallableWith([reading]);
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
  up: { temperature: Reading; door: boolean };
  down: { fan: FanCommand; reboot: null };
}

type Valve = { readonly kind: 'open'; readonly percent: number } | { readonly kind: 'shut' };
type Many = { down: { valve: Valve; note: string | undefined; reboot: null } };

declare const cloud: Fedecks<Greenhouse>;
declare const greenhouse: FedecksClient<Greenhouse>;
declare const many: Fedecks<Many>;
declare const manyDevice: FedecksClient<Many>;
declare const open: FedecksClient<{
  up: Record<string, Reading>;
  down: Record<`room-${string}`, number>;
}>;
declare const either: 'temperature' | 'door';
declare const unsendable: FedecksClient<{ up: { names: Set<string> } }>;
declare const mute: FedecksClient<{ up: object }>;
declare const misspelt: FedecksClient<{ up: { temperature: Reading }; donw: { fan: FanCommand } }>;
// What one writes who does not care.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
declare const anyContract: FedecksClient<any>;

describe('what a device may log in with', () => {
  test('takes the properties of any object', () => {
    expect(client.login).type.toBeCallableWith(plugin);
    expect(client.login).type.toBeCallableWith(new Fan());
    expect(client.login).type.toBeCallableWith({
      password: validated,
      serial: new Uint8Array(1),
      tried: undefined,
    });
    expect(client.login).type.toBeCallableWith(credentials);
    void FakeDevice.connect(app, { id: 'd1', credentials: plugin });
    void FakeDevice.connect(app, { id: 'd1' });
  });

  test('refuses what has none, and what cannot be sent', () => {
    expect(client.login).type.not.toBeCallableWith({ names: new Set(['ada']) });
    expect(client.login).type.not.toBeCallableWith({ password: Promise.resolve('x') });
    expect(client.login).type.not.toBeCallableWith(Promise.resolve({ password: 'x' }));
    expect(client.login).type.not.toBeCallableWith(new Map([['password', 'x']]));
    expect(client.login).type.not.toBeCallableWith(['x']);
    expect(client.login).type.not.toBeCallableWith(new Uint8Array(1));
    expect(client.login).type.not.toBeCallableWith(new Date());
    expect(client.login).type.not.toBeCallableWith('x');
    // @ts-expect-error 'CannotBeSent<"a Set: send [...set]">'
    void FakeDevice.connect(app, { id: 'd1', credentials: { names: new Set(['ada']) } });
  });
});

describe('a contract', () => {
  test('lets the cloud send its events, as pairs, tuples and maps', () => {
    const fan: FanCommand = { on: true, mode: 'auto' };
    void cloud.push('id', { event: 'fan', data: { on: true, mode: 'auto' } });
    void cloud.push('id', ['fan', { on: true, mode: 'auto' }]);
    void cloud.push('id', tuple('fan', { on: true, mode: 'auto' }));
    void cloud.broadcast({ event: 'reboot' });
    void cloud.pushToGroup('group', { event: 'fan', data: fan });
    cloud.downstream.next({ deviceId: 'id', message: { event: 'fan', data: fan } });
  });

  test('refuses another event and another payload in the cloud', () => {
    expect(cloud.push).type.not.toBeCallableWith('id', { event: 'fam', data: { on: true, mode: 'auto' } });
    expect(cloud.push).type.not.toBeCallableWith('id', { event: 'fan', data: { on: 1, mode: 'auto' } });
    expect(cloud.push).type.not.toBeCallableWith('id', tuple('fan', { on: true }));
    expect(cloud.push).type.not.toBeCallableWith('id', reading);
    expect(cloud.push).type.not.toBeCallableWith('id', { event: 'fan' });
    expect(cloud.broadcast).type.not.toBeCallableWith(['reboot', 1]);
    expect(cloud.pushToGroup).type.not.toBeCallableWith('group', ['temperature', reading]);
    expect(cloud.downstream.next).type.not.toBeCallableWith({ deviceId: 'id', message: reading });
  });

  test('cannot have sent what cannot be', () => {
    // @ts-expect-error 'CannotBeSent<"a Set: send [...set]">'
    void unsendable.send('names', new Set(['ada']));
    // @ts-expect-error 'CannotBeSent<"a Set: send [...set]">'
    void unsendable.send({ event: 'names', data: new Set(['ada']) });
  });

  test('lets the device send its events only', () => {
    expect(greenhouse.send).type.toBeCallableWith('temperature', { celsius: 1 });
    expect(greenhouse.send).type.not.toBeCallableWith('temperature', { celsius: 'warm' });
    expect(greenhouse.send).type.not.toBeCallableWith('humidity', 1);
    expect(greenhouse.send).type.not.toBeCallableWith(reading);
  });

  test('lets a fake device send the events of a device only', async () => {
    const fake = await FakeDevice.connect<Greenhouse>(app, { id: 'd1', credentials: plugin });
    expect(fake).type.toBe<FakeDevice<Greenhouse>>();
    expect(fake.send).type.toBeCallableWith('temperature', { celsius: 1 });
    expect(fake.send).type.toBeCallableWith({ event: 'door', data: true });
    expect(fake.send).type.not.toBeCallableWith('temperature', { celsius: 'warm' });
    expect(fake.send).type.not.toBeCallableWith('fan', { on: true, mode: 'auto' });
    expect(fake.send).type.not.toBeCallableWith(reading);
    expect(fake).type.toBeAssignableTo<FakeDevice>();
  });

  test('takes unions of payloads apart', () => {
    void many.push('id', tuple('valve', { kind: 'open', percent: 10 }));
    void many.push('id', { event: 'valve', data: { kind: 'shut' } });
    // @ts-expect-error Property 'percent' is missing
    void many.push('id', tuple('valve', { kind: 'open' }));
    expect(greenhouse.send).type.not.toBeCallableWith(either, true);
    expect(greenhouse.send).type.not.toBeCallableWith(either, {
      celsius: 1,
    });
  });

  test('has null for a payload that is left out', () => {
    void many.broadcast({ event: 'note' });
    manyDevice.on('note', (note) => expect(note).type.toBe<string | null>());
    manyDevice.on('valve', (valve) => expect(valve).type.toBe<Valve>());
  });

  test('checks payloads also where it leaves the names open', () => {
    expect(open.send).type.toBeCallableWith('any name', { celsius: 1 });
    expect(open.send).type.toBeCallableWith({ event: 'any name', data: { celsius: 1 } });
    expect(open.send).type.not.toBeCallableWith('any name', 1);
    expect(open.send).type.not.toBeCallableWith({ event: 'any name', data: 1 });
    open.on('room-1', (payload) => expect(payload).type.toBe<number>());
    expect(open.on).type.not.toBeCallableWith('room', () => undefined);
  });

  test('lets nothing be sent where there is nothing to send, or a direction is misspelt', () => {
    expect(mute.send).type.not.toBeCallableWith('x', 1);
    expect(mute.send).type.not.toBeCallableWith({ event: 'x' });
    // @ts-expect-error parameter of type '"a contract has up and down, and nothing else"'
    misspelt.on('fan', () => undefined);
    expect(anyContract.send).type.toBeCallableWith('x', 1);
  });

  test('is no obstacle to code that knows none, or less of it', () => {
    expect(greenhouse).type.toBeAssignableTo<FedecksClient>();
    expect(cloud).type.toBeAssignableTo<Fedecks>();
    expect(greenhouse).type.toBeAssignableTo<FedecksClient<{ up: Greenhouse['up'] }>>();
    expect(client).type.toBeAssignableTo<FedecksClient<Greenhouse>>();
    expect(greenhouse).type.not.toBeAssignableTo<FedecksClient<{ up: { humidity: number } }>>();
  });

  test('types what the handlers of the device receive', () => {
    greenhouse.on('fan', (fan) => expect(fan).type.toBe<FanCommand>());
    client.on('anything', (payload) => expect(payload).type.toBe<Term>());
    expect(greenhouse.on).type.not.toBeCallableWith('temperature', () => undefined);
    expect(greenhouse.on).type.not.toBeCallableWith('fan', (_: { celsius: number }) => undefined);
  });
});
