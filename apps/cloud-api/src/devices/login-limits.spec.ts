import { LoginLimits } from './login-limits.js';

describe('LoginLimits', () => {
  let limits: LoginLimits;
  beforeEach(() => (limits = new LoginLimits()));

  /** The number of admitted attempts, all at time 0, of `times` failing ones. */
  function failures(
    times: number,
    network: (attempt: number) => string,
    id: (attempt: number) => string,
  ): number {
    return Array.from({ length: times }, (_, attempt) =>
      limits.admit(network(attempt), id(attempt), 0),
    ).filter(Boolean).length;
  }

  it('admits 5 failed logins of one device from one network in a minute', () => {
    expect(
      failures(
        20,
        () => 'n',
        () => 'a',
      ),
    ).toBe(5);
    expect(limits.admit('n', 'a', 59_999)).toBe(false);
    expect(limits.admit('n', 'a', 60_000)).toBe(true);
  });

  it('admits 60 failed logins from one network in a minute', () => {
    expect(failures(200, () => 'n', String)).toBe(60);
    expect(limits.admit('n', 'other', 0)).toBe(false);
    expect(limits.admit('other', 'other', 0)).toBe(true);
  });

  it('does not block a device id in other networks when it fails in one', () => {
    failures(
      20,
      () => 'n',
      () => 'a',
    );
    expect(limits.admit('other', 'a', 0)).toBe(true);
  });

  it('admits one attempt of a new network, and no more, for a device id that has failed 60 times', () => {
    expect(
      failures(
        60,
        (attempt) => `n${Math.floor(attempt / 5)}`,
        () => 'a',
      ),
    ).toBe(60);
    expect(limits.admit('n0', 'a', 0)).toBe(false);
    expect(limits.admit('new', 'a', 0)).toBe(true);
    expect(limits.admit('new', 'a', 0)).toBe(false);
  });

  it('does not count successful logins', () => {
    for (let login = 0; login < 200; login++) {
      expect(limits.admit('n', 'a', 0)).toBe(true);
      limits.forgive('n', 'a');
    }
  });

  it('counts unfinished attempts', () => {
    for (let login = 0; login < 5; login++) limits.admit('n', 'a', 0);
    expect(limits.admit('n', 'a', 0)).toBe(false);
    limits.forgive('n', 'a');
    expect(limits.admit('n', 'a', 0)).toBe(true);
  });

  it('does not credit the next minute when an attempt of this minute succeeds in it', () => {
    limits.admit('n', 'a', 0);
    limits.admit('n', 'b', 60_000);
    limits.forgive('n', 'a');
    expect(Array.from({ length: 6 }, () => limits.admit('n', 'a', 60_000))).toEqual([
      ...Array<boolean>(5).fill(true),
      false,
    ]);
  });
});
