/** The stores of deliveries that the library has, against the suite for all of them. */
import { connect } from '@nats-io/transport-node';
import { MemoryDeliveryStore } from '@fedecks/nest';
import { openDeliveryBucket } from './support/delivery-buckets.js';
import { describeDeliveryStore } from './support/delivery-store-contract.js';
import { NatsServer } from './support/nats-server.js';

describeDeliveryStore('in memory', async () => {
  const store = new MemoryDeliveryStore();
  return { open: () => store, close: async () => undefined };
});

describeDeliveryStore('on NATS', async () => {
  const nats = await NatsServer.start();
  const nc = await connect({ servers: nats.url });
  let opened = 0;
  return {
    open: (endpoint) => openDeliveryBucket(nc, { endpoint, node: `node ${++opened}` }),
    close: async () => {
      await nc.close();
      await nats.close();
    },
  };
});
