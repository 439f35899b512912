import { type Connection } from './connection.js';
import { Registry } from './local-node.js';

function connection(id: string): Connection {
  return { device: { id } } as Partial<Connection> as Connection;
}

describe('Registry', () => {
  it('holds the connections of each device', () => {
    const registry = new Registry();
    const [one, two, other] = [connection('a'), connection('a'), connection('b')];
    for (const each of [one, two, other]) registry.add(each);
    expect(registry.of('a')).toEqual([one, two]);
    expect([...registry.all()]).toEqual([one, two, other]);
    expect(registry.size).toBe(3);
  });

  it('removes only the given connection, even when it ends late', () => {
    const registry = new Registry();
    const [older, newer] = [connection('a'), connection('a')];
    registry.add(older);
    registry.add(newer);
    registry.remove(older);
    registry.remove(older);
    expect(registry.of('a')).toEqual([newer]);
    expect(registry.size).toBe(1);
    registry.remove(newer);
    expect(registry.of('a')).toEqual([]);
    expect([...registry.all()]).toEqual([]);
  });
});
