import { jest } from '@jest/globals';
import { type ConnectedDevice, type ConnectionChange } from '@fedecks/nest';
import { Subject } from 'rxjs';
import { ClaimConfirmation } from './claim-confirmation.js';

const MINUTE_S = 60;

describe('ClaimConfirmation', () => {
  let connections$: Subject<ConnectionChange>;
  let confirmed: string[];
  let confirmation: ClaimConfirmation;

  beforeEach(() => {
    jest.useFakeTimers();
    [connections$, confirmed] = [new Subject(), []];
    const claims = { confirm: async (id: string) => void confirmed.push(id) };
    confirmation = new ClaimConfirmation(claims, { connections$ });
    confirmation.onApplicationBootstrap();
  });
  afterEach(() => {
    confirmation.onApplicationShutdown();
    jest.useRealTimers();
  });

  function connect(claims: ConnectedDevice['claims']): ConnectedDevice {
    const device = { id: 'a', remoteAddress: '', claims, endpoint: '/fedecks', since: 0 };
    connections$.next({ type: 'connected', device });
    return device;
  }

  /** As from a token. */
  const claimsOfToken = (ageS: number) => ({ claimedAt: Math.floor(Date.now() / 1_000) - ageS });

  it('confirms a claim when its connection has lasted for 30 s', () => {
    connect(confirmation.tokenClaims());
    jest.advanceTimersByTime(29_999);
    expect(confirmed).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(confirmed).toEqual(['a']);
  });

  it('confirms no claim whose connection ends before', () => {
    const device = connect(confirmation.tokenClaims());
    connections$.next({ type: 'disconnected', device, cause: { type: 'connection_lost', code: 1006 } });
    jest.advanceTimersByTime(60_000);
    expect(confirmed).toEqual([]);
  });

  it('confirms a claim at once when the device connects with its token, also if the clock of its node is ahead', () => {
    connect(claimsOfToken(0));
    connect(claimsOfToken(-2 * MINUTE_S));
    expect(confirmed).toEqual(['a', 'a']);
  });

  it('asks nothing of the database for devices with other tokens, or with old ones', () => {
    connect(undefined);
    connect({ username: 'gardener' });
    connect({ claimedAt: 'now' });
    connect(claimsOfToken(16 * MINUTE_S));
    jest.advanceTimersByTime(60_000);
    expect(confirmed).toEqual([]);
  });
});
