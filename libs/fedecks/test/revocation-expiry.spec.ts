import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { natsBackplane } from '@fedecks/nest/nats';
import { startApp } from './support/app.js';
import { eventually } from './support/eventually.js';
import { NatsServer } from './support/nats-server.js';

it('NATS deletes a revocation when the tokens it revokes expire, without a node that starts or reconnects', async () => {
  const nats = await NatsServer.start();
  const client = await connect({ servers: nats.url });
  const backplane = natsBackplane({ servers: nats.url, heartbeatMs: 100 });
  const app = await startApp({ options: { drainMs: 0, tokenExpiry: '3s', tokenRefresh: '1s', backplane } });
  try {
    const streams = (await jetstreamManager(client)).streams;
    const kept = async (): Promise<number> => (await streams.info('KV_fedecks_revocations')).state.messages;
    const { token } = await app.device('lamp');
    await app.fedecks.revoke('lamp');
    expect(await kept()).toBe(1);
    const refused: string[] = [];
    await eventually(
      async () => {
        refused.push(await app.device('lamp', token).then(() => 'let in', String));
        return kept();
      },
      (count) => count === 0,
    );
    expect(refused.filter((outcome) => !outcome.includes('403'))).toEqual([]);
    await expect(app.device('lamp', token)).rejects.toThrow('403');
  } finally {
    await app.close();
    await client.close();
    await nats.close();
  }
});
