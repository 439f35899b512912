import { type BackplaneEndpoint, InProcessBackplane } from './backplane.js';
import { type ConnectedDevice } from './device.js';

const NOBODY: BackplaneEndpoint = {
  path: '/fedecks',
  duplicates: 'newest',
  held: () => undefined,
  all: () => [],
  write: () => undefined,
  ask: () => undefined,
  disconnect: () => false,
  replace: () => undefined,
  refuse: () => false,
  onTrace: () => undefined,
  revoked: () => undefined,
  writeToAll: () => undefined,
  onQueueChange: () => undefined,
  onReachable: () => undefined,
  changed: () => undefined,
  failed: () => undefined,
};

it('a single node remembers the last 10,000 devices that left, and forgets the oldest', async () => {
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

describe('the presence list of a single node', () => {
  const device = (id: string): ConnectedDevice => ({
    id,
    endpoint: '/fedecks',
    remoteAddress: '::1',
    since: 1,
    claims: undefined,
  });
  let held: Map<string, ConnectedDevice>;
  let looks: number;
  let backplane: InProcessBackplane;

  function open(id: string): void {
    held.set(id, device(id));
    backplane.opened(device(id));
  }

  function close(id: string): void {
    held.delete(id);
    backplane.closed(device(id), { type: 'disconnected', code: 1000 });
  }

  /** The ids of all pages; calls `meanwhile` after each page. */
  async function list(limit: number, meanwhile: () => void = () => undefined): Promise<string[]> {
    const ids: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await backplane.presenceList(cursor, limit);
      expect(page.entries.length).toBeLessThanOrEqual(limit);
      ids.push(...page.entries.map(({ id }) => id));
      cursor = page.cursor;
      meanwhile();
    } while (cursor !== undefined);
    return ids;
  }

  beforeEach(() => {
    held = new Map();
    looks = 0;
    backplane = new InProcessBackplane({
      ...NOBODY,
      held: (id) => held.get(id),
      all: () => {
        looks++;
        return held.values();
      },
    });
    for (const id of ['d', 'b', 'e', 'a', 'c']) open(id);
  });

  it('contains each id once in order, including devices that left', async () => {
    close('b');
    expect(await list(2)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(await list(5)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('iterates over the devices once for all pages, and not again without new devices', async () => {
    await list(1);
    expect(looks).toBe(1);
    close('c');
    open('c');
    await list(1);
    expect(looks).toBe(1);
  });

  it('contains all devices from before the first page, and each device on one page only', async () => {
    await list(2);
    open('cc');
    let next = 0;
    const ids = await list(2, () => {
      open(`b${next++}`);
    });
    expect(ids.filter((id) => !/^b\d/.test(id))).toEqual(['a', 'b', 'c', 'cc', 'd', 'e']);
  });
});
