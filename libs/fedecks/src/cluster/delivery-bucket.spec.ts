import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { NatsServer } from '../../test/support/nats-server.js';
import { type DeliveryClaim, isDeliveryClaim } from '../delivery/index.js';
import { NatsBucket } from '../nats/nats-bucket.js';
import { resolveNatsOptions } from '../nats/nats-options.js';
import { type Bucket } from './bucket.js';
import { DeliveryBucket } from './delivery-bucket.js';
import { Subjects } from './subjects.js';

const subjects = new Subjects('fleet', '/fedecks');
const handled = (seq: number) => ({ lane: 0, epoch: 'E', seq });

let nats: NatsServer;
let nc: NatsConnection;
let opened = 0;
beforeAll(async () => {
  nats = await NatsServer.start();
  nc = await connect({ servers: nats.url });
});
afterAll(async () => {
  await nc.close();
  await nats.close();
});

function open(): Promise<Bucket<DeliveryClaim>> {
  opened++;
  return NatsBucket.open(nc, 'deliveries', resolveNatsOptions({ servers: nats.url }), {
    retentionMs: undefined,
    isOne: (_key, value): value is DeliveryClaim => isDeliveryClaim(value),
    stray: () => undefined,
  });
}

describe('the deliveries of several nodes', () => {
  it('are kept for the newest claim only', async () => {
    const [one, two] = [new DeliveryBucket(subjects, open), new DeliveryBucket(subjects, open)];
    const older = await one.claim('/fedecks', 'lamp');
    expect(await one.setHandled('/fedecks', 'lamp', older.generation, handled(1))).toBe(true);
    const newer = await two.claim('/fedecks', 'lamp');
    expect(newer.handled).toEqual([handled(1)]);
    expect(newer.generation).toBeGreaterThan(older.generation);
    expect(await one.setHandled('/fedecks', 'lamp', older.generation, handled(2))).toBe(false);
    expect(await two.setHandled('/fedecks', 'lamp', newer.generation, handled(2))).toBe(true);
    expect(await two.setHandled('/fedecks', 'lamp', newer.generation, handled(1))).toBe(true);
    expect((await one.claim('/fedecks', 'lamp')).handled).toEqual([handled(2)]);
  });

  it('are claimed one after another, by whichever nodes', async () => {
    const nodes = [1, 2, 3, 4].map(() => new DeliveryBucket(subjects, open));
    const claims = await Promise.all(nodes.map((node) => node.claim('/fedecks', 'many')));
    expect(new Set(claims.map(({ generation }) => generation)).size).toBe(4);
    const newest = Math.max(...claims.map(({ generation }) => generation));
    const kept = await Promise.all(
      nodes.map((node, index) => node.setHandled('/fedecks', 'many', claims[index]!.generation, handled(1))),
    );
    expect(kept).toEqual(claims.map(({ generation }) => generation === newest));
  });

  it('have a bucket from the first claim on, and another one when somebody has deleted it', async () => {
    opened = 0;
    const node = new DeliveryBucket(subjects, open);
    expect(opened).toBe(0);
    const { generation } = await node.claim('/fedecks', 'lamp');
    await (await jetstreamManager(nc)).streams.delete('KV_deliveries');
    await expect(node.setHandled('/fedecks', 'lamp', generation, handled(3))).rejects.toMatchObject({
      name: 'BackplaneError',
    });
    expect(await node.setHandled('/fedecks', 'lamp', generation, handled(3))).toBe(true);
    expect((await node.claim('/fedecks', 'lamp')).handled).toEqual([handled(3)]);
    expect(opened).toBe(2);
  });
});
