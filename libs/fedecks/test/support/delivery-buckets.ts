/**
 * The delivery store of one node, over a connection to a real nats-server.
 *
 *     const store = openDeliveryBucket(nc, { node: 'one' });
 *     await store.readQueue('/fedecks', 'lamp');
 */
import { type NatsConnection } from '@nats-io/transport-node';
import { DeliveryBucket } from '../../src/cluster/delivery-bucket.js';
import { Subjects } from '../../src/cluster/subjects.js';
import { NatsBucket } from '../../src/nats/nats-bucket.js';
import { resolveNatsOptions } from '../../src/nats/nats-options.js';

export function openDeliveryBucket(
  nc: NatsConnection,
  {
    node = 'one',
    endpoint = '/fedecks',
    onStray = () => undefined,
  }: {
    readonly node?: string;
    readonly endpoint?: string;
    readonly onStray?: (bucket: string, key: string) => void;
  } = {},
): DeliveryBucket {
  const options = resolveNatsOptions({ servers: 'nats://127.0.0.1', requestTimeoutMs: 2_000 });
  return new DeliveryBucket(
    node,
    new Subjects('fleet', endpoint),
    {
      open: (name, entries) => NatsBucket.open(nc, name, options, entries),
      find: (name, entries) => NatsBucket.find(nc, name, options, entries),
    },
    onStray,
  );
}
