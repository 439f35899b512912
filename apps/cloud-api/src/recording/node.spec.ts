import { type Fedecks } from '@fedecks/nest';
import { eventually } from '../../../../libs/fedecks/test/support/eventually.js';
import { TestDatabase } from '../../test/support/test-database.js';
import { openDatabase } from '../database/open-database.js';
import { Node } from './node.js';

it('writes that it lives, and whether it can reach the other nodes', async () => {
  const place = await TestDatabase.create();
  const database = openDatabase(place.config);
  let health: ReturnType<Fedecks['health']> = { status: 'up' };
  const node = new Node(database, { isReady: true }, { health: () => health }, false, {
    everyMs: 10,
    deadAfterMs: 60_000,
  });
  const isUp = async (): Promise<boolean | undefined> => {
    const row = await database.selectFrom('nodes').select(['id', 'backplane_up']).executeTakeFirst();
    return row?.id === node.id ? row.backplane_up : undefined;
  };
  node.onApplicationBootstrap();
  await eventually(isUp, (up) => up === true);
  health = { status: 'degraded', reasons: { '/fedecks': 'NATS does not answer' } };
  await eventually(isUp, (up) => up === false);
  await node.onApplicationShutdown();
  await database.destroy();
  await place.close();
});
