import { type BackplaneEndpoint, InProcessBackplane } from './backplane.js';
import { type ConnectedDevice } from './device.js';

const NOBODY: BackplaneEndpoint = {
  path: '/fedecks',
  duplicates: 'newest',
  held: () => undefined,
  all: () => [],
  write: () => undefined,
  disconnect: () => false,
  replace: () => undefined,
  revoked: () => undefined,
  writeToAll: () => undefined,
  changed: () => undefined,
  failed: () => undefined,
};

it('One node alone remembers the last 10,000 devices that left, and forgets the oldest', async () => {
  const backplane = new InProcessBackplane(NOBODY);
  const device = (index: number): ConnectedDevice => ({
    id: `device-${index}`,
    endpoint: '/fedecks',
    remoteAddress: '::1',
    since: index,
    claims: undefined,
  });
  for (let index = 0; index <= 10_000; index++) {
    backplane.opened(device(index));
    backplane.closed(device(index), { type: 'disconnected', code: 1000 });
  }
  expect(await backplane.presenceOf('device-0')).toBeUndefined();
  expect(await backplane.presenceOf('device-1')).toMatchObject({ state: 'offline' });
  expect((await backplane.presenceList(undefined, 20_000)).entries).toHaveLength(10_000);
});
