/** What an app may write and what it may not, compiled against the packed library with old versions of TypeScript. */
import { DeviceId, type Fedecks, type MessageOf, onMessageFor, OnRawMessage, Payload } from '@fedecks/nest';
import { type FedecksClient } from '@fedecks/nest/client';
import { onMessageFor as onDeviceMessageFor } from '@fedecks/nest/client-nest';
import { natsBackplane } from '@fedecks/nest/nats';
import { type FakeDevice } from '@fedecks/nest/testing';
import { encodeTerm } from '@fedecks/nest/wire';

interface Reading {
  celsius: number;
}

type Greenhouse = {
  up: { temperature: Reading };
  down: { fan: { on: boolean } };
};

declare const fedecks: Fedecks<Greenhouse>;
declare const client: FedecksClient<Greenhouse>;
declare const device: FakeDevice<Greenhouse>;
const On = onMessageFor<Greenhouse>();
const OnDevice = onDeviceMessageFor<Greenhouse>();

export const backplane: typeof natsBackplane = natsBackplane;

export class Handlers {
  @On('temperature')
  record(@Payload() reading: Reading, @DeviceId() id: string): MessageOf<Greenhouse, 'down'> {
    void fedecks.push(id, { event: 'fan', data: { on: true } });
    void client.send('temperature', reading);
    client.on('fan', ({ on }) => on);
    device.send('temperature', reading);
    void client.login(reading);
    // @ts-expect-error a Set cannot be sent
    encodeTerm({ set: new Set([1]) });
    // @ts-expect-error another event
    void fedecks.push(id, { event: 'fam', data: { on: true } });
    // @ts-expect-error another payload
    void client.send('temperature', { celsius: 'warm' });
    return { event: 'fan', data: { on: true } };
  }

  // @ts-expect-error an event of the other direction
  @OnDevice('temperature')
  wrong(): void {
    // Never called.
  }

  // @ts-expect-error bytes arrive here
  @OnRawMessage()
  raw(@Payload() _reading: Reading): void {
    // Never called.
  }
}
