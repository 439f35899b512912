import { applyDecorators } from '@nestjs/common';
import {
  AbortSignal as Signal,
  type ConnectedDevice,
  Device,
  DeviceId,
  type DisconnectCause,
  type HandlerResult,
  type MessageOf,
  OnConnected,
  OnDisconnected,
  OnMessage,
  onMessageFor,
  OnRawMessage,
  OnSocketError,
  Payload,
  type SocketError,
  stop,
  type Term,
  tuple,
} from '@fedecks/nest';
import {
  type ConnectionLost,
  OnDisconnected as OnConnectionLost,
  onMessageFor as onDeviceMessageFor,
} from '@fedecks/nest/client-nest';
import { of } from 'rxjs';
import { test } from 'tstyche';

interface Reading {
  readonly celsius: number;
  readonly at?: Date;
}

interface Batch {
  readonly readings: readonly number[];
}

const isBatch = (message: Term): message is { readonly readings: readonly number[] } =>
  typeof message === 'object' && message !== null && 'readings' in message;

type Greenhouse = {
  up: { temperature: Reading; door: boolean; note: number | undefined };
  down: { fan: { on: boolean } };
};

const On = onMessageFor<Greenhouse>();
const OnMute = onMessageFor<{ up: { door: boolean }; down: object }>();
const OnDevice = onDeviceMessageFor<Greenhouse>();

test('decorators take methods that fit', () => {
  class Fits {
    @OnRawMessage() raw(@Payload() _bytes: Uint8Array, @DeviceId() _id: string): void {}
    @OnRawMessage<Reading>() piped(@Payload() _reading: Reading): void {}
    @OnConnected() hello(@Device() _device: ConnectedDevice, @Signal() _signal: AbortSignal) {
      return tuple('hello', 'matey');
    }
    @OnConnected<Reading>() helloWithPipe(@Payload() _piped: Reading): void {}
    @OnMessage<{ readonly readings: readonly number[] }, Date>(isBatch) batchWithPipe(@Payload() _at: Date) {}
    @On('door') bye() {
      return stop();
    }
    @OnDisconnected() gone(
      @Payload() _cause: DisconnectCause,
      @Device() _device: ConnectedDevice,
      @Signal() _signal: AbortSignal,
    ) {
      return new Set(['nobody is left to answer']);
    }
    @OnDisconnected<Reading>() goneWithPipe(
      @Payload() _piped: Reading,
      @Payload('code') _code: number,
    ): void {}
    @OnConnectionLost() lost(@Payload() _event: ConnectionLost, @DeviceId() _id: string): void {}
    @OnConnectionLost<Reading>() lostWithPipe(@Payload() _piped: Reading): void {}
    @OnSocketError<Reading>() failedWithPipe(@Payload() _piped: Reading): void {}
    @On('note') note(@Payload() _note: number | null): void {}
    @OnSocketError() failed(
      @Payload() _failure: Pick<SocketError, 'type' | 'deviceId'>,
      @Device() _device: { id: string | null },
    ): void {}
    @applyDecorators(OnDisconnected(), OnSocketError()) composedOfEnds(): void {}
    @OnMessage(isBatch) batch(@Payload() _batch: Batch): Promise<Reading> {
      return Promise.resolve({ celsius: 1 });
    }
    @OnMessage(isBatch) part(@Payload('readings') _readings: readonly number[]) {}
    @OnMessage('x') any(@Payload() _anything: { x: 1 }) {
      return { event: 'x', data: null };
    }
    @OnMessage('stream') stream() {
      return of({ celsius: 1 }, stop());
    }
    @OnMessage('generator') *values() {
      yield { celsius: 1 };
    }
    @OnMessage('async generator') async *laterValues(): AsyncGenerator<Reading> {
      yield { celsius: 1 };
    }
    @OnMessage('anything') anything(): HandlerResult {
      return Promise.resolve(stop());
    }
    @OnMessage('perhaps') perhaps(): Promise<Reading | undefined> | null {
      return null;
    }
    @OnMessage('unknown') unknown(): unknown {
      return undefined;
    }
    @applyDecorators(OnMessage('composed')) composed(): number {
      return 1;
    }
    @On('temperature') temperature(
      @Payload() _reading: Reading,
      @DeviceId() _id: string,
    ): MessageOf<Greenhouse, 'down'> {
      return { event: 'fan', data: { on: true } };
    }
    @On('temperature') celsius(@Payload('celsius') _celsius: number): void {}
    @On('temperature') at(@Payload('at') _at?: Date): MessageOf<Greenhouse, 'down'> | undefined {
      return undefined;
    }
    @OnDevice('fan') fan(@Payload() _fan: { on: boolean }): MessageOf<Greenhouse, 'up'> {
      return tuple('temperature', { celsius: 1 });
    }
  }
  Fits;
});

test('decorators refuse methods that do not fit', () => {
  class Unfit {
    // @ts-expect-error a parameter accepts neither the payload, nor the device
    @OnRawMessage()
    raw(@Payload() _reading: Reading): void {}

    // @ts-expect-error a parameter accepts neither the payload, nor the device
    @OnConnected()
    hello(@Payload() _reading: Reading): void {}

    // @ts-expect-error a parameter accepts neither the payload, nor the device
    @OnDisconnected()
    gone(@Payload() _cause: SocketError): void {}

    // @ts-expect-error a parameter accepts neither the payload, nor the device
    @OnConnectionLost()
    lost(@Payload() _cause: DisconnectCause): void {}

    // @ts-expect-error a parameter accepts neither the payload, nor the device
    @OnSocketError()
    failed(@Payload() _failure: DisconnectCause): void {}

    // @ts-expect-error a parameter accepts neither the payload, nor the device
    @OnSocketError()
    failedKnown(@Device() _device: ConnectedDevice): void {}

    // @ts-expect-error a parameter accepts neither the payload, nor the device
    @OnMessage(isBatch)
    batch(@Payload() _reading: Reading): void {}

    // @ts-expect-error its result contains a value that cannot be sent
    @OnRawMessage()
    rawSet() {
      return new Set([1]);
    }

    // @ts-expect-error its result contains a value that cannot be sent
    @OnMessage(isBatch)
    batchSet() {
      return new Set([1]);
    }

    // @ts-expect-error its result contains a value that cannot be sent
    @OnMessage('x')
    set() {
      return new Set([1]);
    }

    // @ts-expect-error its result contains a value that cannot be sent
    @OnMessage('y')
    async later() {
      return { run: () => 1 };
    }

    // @ts-expect-error its result contains a value that cannot be sent
    @OnConnected()
    *symbols() {
      yield Symbol('x');
    }

    // @ts-expect-error '"humidity"' is not assignable
    @On('humidity')
    humidity(): void {}

    // @ts-expect-error a parameter accepts neither the payload, nor the device
    @On('temperature')
    temperature(@Payload() _reading: { fahrenheit: number }): void {}

    // @ts-expect-error { parameter: string[] | undefined; }
    @On('temperature')
    optional(@Payload() _reading?: string[]): void {}

    // @ts-expect-error { mayBe: { set: CannotBeSent<"a Set: send [...set]">; }; }
    @OnMessage('z')
    nested(): Promise<{ set: Set<number> }> {
      return Promise.resolve({ set: new Set<number>() });
    }

    // @ts-expect-error its result contains a value that cannot be sent
    @OnMessage('stream')
    stream() {
      return of(new Set([1]));
    }

    // @ts-expect-error its result contains a value that cannot be sent
    @OnMessage('async generator')
    async *laterSets() {
      yield new Set([1]);
    }

    // @ts-expect-error { parameter: number | undefined; }
    @On('note')
    note(@Payload() _note: number | undefined): void {}

    // @ts-expect-error is not a message of the contract
    @On('door')
    anything(): HandlerResult {
      return 1;
    }

    // @ts-expect-error is not a message of the contract
    @OnMute('door')
    nothing() {
      return { event: 'fan', data: { on: true } };
    }

    // @ts-expect-error is not a message of the contract
    @On('door')
    door() {
      return { event: 'fan', data: { on: 1 } };
    }

    // @ts-expect-error '"temperature"' is not assignable
    @OnDevice('temperature')
    wrongSide(): void {}
  }
  Unfit;
});
