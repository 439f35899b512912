import { type IncomingHttpHeaders } from 'node:http';
import { jest } from '@jest/globals';
import { encodeAuthHeader } from '../../wire/internal.js';
import { type AuthenticatedDevice, type SocketError } from '../device.js';
import { Admission, type AdmissionContext, MAX_WAITING, type UpgradeDecision } from './admission.js';
import { type Authenticated, UpgradeRefused, type UpgradeRequest } from './upgrade-request.js';

const NO_GRANT = { generation: 0, expiresAt: 0 };
const NOT_NOW = { status: 503, retryAfterS: 10 };

function requestOf(fields: Record<string, string>, remoteAddress = '192.0.2.1'): UpgradeRequest {
  const headers: IncomingHttpHeaders = { 'x-fedecks-auth': encodeAuthHeader(fields) };
  return { headers, socket: { remoteAddress } } as UpgradeRequest;
}

const login = (id = 'nerves-242a', address?: string): UpgradeRequest =>
  requestOf({ 'fedecks-device-id': id, password: 'p' }, address);
const comeBack = (id = 'nerves-242a', address?: string): UpgradeRequest =>
  requestOf({ 'fedecks-device-id': id, 'fedecks-token': `good ${id}` }, address);

function deviceOf({ deviceId = '' }: UpgradeRequest): AuthenticatedDevice {
  return { id: deviceId, remoteAddress: '', claims: undefined, endpoint: '/fedecks' };
}

/** An endpoint whose guards wait for `release` if `holds` is set. */
class Endpoint implements AdmissionContext {
  options: AdmissionContext['options'];
  readonly tokens = {
    verify: (token: string) =>
      token.startsWith('good ') ? { deviceId: token.slice(5), claims: undefined, ...NO_GRANT } : undefined,
  };
  readonly revocations = { wasRevokedMeanwhile: (): boolean => this.isRevoked };
  readonly claims = {
    claim: (): boolean | Promise<boolean> => this.isFree,
    unclaim: (id: string): void => void this.unclaimed.push(id),
  };
  isRevoked = false;
  isFree: boolean | Promise<boolean> = true;
  holds = false;
  /** Whether the event loop turn is used up. */
  isTurnUsed = false;
  private readonly queued: (() => void)[] = [];
  readonly asked: UpgradeRequest[] = [];
  readonly unclaimed: string[] = [];
  readonly reports: SocketError[] = [];
  readonly connected = new Set<string>();
  private readonly held: (() => void)[] = [];

  constructor(options: Partial<AdmissionContext['options']> = {}) {
    this.options = {
      duplicates: 'newest',
      trustedProxies: [],
      upgradesPerSecond: 0,
      upgradesPerAddressPerMinute: 0,
      upgradeTimeoutMs: 10_000,
      ...options,
    };
  }

  async authenticate(request: UpgradeRequest): Promise<Authenticated> {
    this.asked.push(request);
    if (this.holds) await new Promise<void>((resolve) => this.held.push(resolve));
    if (request.deviceId === 'stranger')
      throw new UpgradeRefused({ deviceId: 'stranger', type: 'authentication_failed', info: '' });
    if (request.deviceId === 'broken') throw new Error('the database is gone');
    return { device: deviceOf(request), grant: NO_GRANT };
  }

  release(): void {
    for (const resolve of this.held.splice(0)) resolve();
  }

  isBehind(id: string): boolean {
    return id === 'behind';
  }

  isOutdated(id: string): boolean {
    return id === 'outdated';
  }

  isRefusedClone(id: string): boolean {
    return id === 'clone';
  }

  isCloneElsewhere(id: string): false | Promise<boolean> {
    return id.startsWith('elsewhere') && Promise.resolve(id === 'elsewhere');
  }

  isConnected(id: string): boolean {
    return this.connected.has(id);
  }

  report(error: SocketError): void {
    this.reports.push(error);
  }

  run(work: () => void): void {
    if (this.isTurnUsed) this.queued.push(work);
    else work();
  }

  nextTurn(): void {
    for (const work of this.queued.splice(0)) work();
  }
}

/** Returns the decision that was executed; undefined if there was none. */
async function decide(
  admission: Admission,
  request: UpgradeRequest,
  opened = true,
): Promise<UpgradeDecision | undefined> {
  let decision: UpgradeDecision | undefined;
  await admission.decide(request, true, (made) => {
    decision = made;
    return opened && 'device' in made;
  });
  return decision;
}

describe('Admission', () => {
  it("accepts with the guards' consent, rejects with 403 without it, and with 503 for a fault of the cloud", async () => {
    const endpoint = new Endpoint();
    const admission = new Admission(endpoint);
    expect(await decide(admission, login())).toMatchObject({ device: { id: 'nerves-242a' } });
    expect(await decide(admission, login('stranger'))).toEqual({ status: 403 });
    expect(await decide(admission, login('broken'))).toEqual(NOT_NOW);
    expect(await decide(admission, login('behind'))).toEqual(NOT_NOW);
    expect(endpoint.reports.map(({ type }) => type)).toEqual([
      'authentication_failed',
      'upgrade_failed',
      'upgrade_failed',
    ]);
  });

  it.each<[string, () => UpgradeRequest]>([
    ['logins', () => login('stranger')],
    ['bad tokens', () => requestOf({ 'fedecks-device-id': 'nerves-242a', 'fedecks-token': 'bad' })],
    [
      'tokens of others',
      () => requestOf({ 'fedecks-device-id': 'nerves-242a', 'fedecks-token': 'good other' }),
    ],
    ['garbage', () => ({ headers: {}, socket: { remoteAddress: '192.0.2.1' } }) as UpgradeRequest],
  ])('accepts a device with a valid token from an address that floods it with %s', async (_, flood) => {
    const endpoint = new Endpoint({ upgradesPerSecond: 100, upgradesPerAddressPerMinute: 20 });
    const admission = new Admission(endpoint);
    for (let count = 0; count < 1_000; count++) await decide(admission, flood());
    expect(endpoint.asked).toHaveLength(20);
    expect(await decide(admission, login())).toMatchObject({ status: 503 });
    expect(endpoint.asked).toHaveLength(20);
    expect(await decide(admission, comeBack())).toMatchObject({ device: { id: 'nerves-242a' } });
    expect(await decide(admission, login('other', '192.0.2.2'))).toMatchObject({ device: { id: 'other' } });
  });

  it('lets a device that comes with its token over and over use up no more than its share of an address', async () => {
    const admission = new Admission(new Endpoint({ upgradesPerAddressPerMinute: 20 }));
    for (let count = 0; count < 10; count++)
      expect(await decide(admission, comeBack('hasty'))).toMatchObject({ device: {} });
    expect(await decide(admission, comeBack('hasty'))).toMatchObject({ status: 503 });
    expect(await decide(admission, comeBack('another'))).toMatchObject({ device: {} });
  });

  it('counts all hosts of a /64 in IPv6 together', async () => {
    const admission = new Admission(new Endpoint({ upgradesPerAddressPerMinute: 1 }));
    expect(await decide(admission, login('a', '2001:db8::1'))).toMatchObject({ device: {} });
    expect(await decide(admission, login('b', '2001:db8::2'))).toMatchObject({ status: 503 });
    expect(await decide(admission, login('c', '2001:db8:0:1::1'))).toMatchObject({ device: {} });
  });

  it('limits concurrent logins, in total and to half per address, with 503; tokens have their own limit', async () => {
    const endpoint = new Endpoint();
    endpoint.holds = true;
    const admission = new Admission(endpoint);
    const ofOne = Array.from({ length: MAX_WAITING }, () => decide(admission, login()));
    expect(endpoint.asked).toHaveLength(MAX_WAITING / 2);
    const ofOthers = Array.from({ length: MAX_WAITING }, (_, index) =>
      decide(admission, login('x', `198.51.${index >> 8}.${index & 255}`)),
    );
    expect(endpoint.asked).toHaveLength(MAX_WAITING);
    const withTokens = Array.from({ length: MAX_WAITING + 1 }, () => decide(admission, comeBack()));
    expect(endpoint.asked).toHaveLength(2 * MAX_WAITING);
    endpoint.release();
    const all = await Promise.all([...ofOne, ...ofOthers, ...withTokens]);
    expect(all.filter((decision) => decision && 'device' in decision)).toHaveLength(2 * MAX_WAITING);
    endpoint.holds = false;
    expect(await decide(admission, login())).toMatchObject({ device: {} });
  });

  it('defers guards to the next event loop turn when this one is used up, and skips aborted upgrades', async () => {
    const endpoint = new Endpoint();
    const admission = new Admission(endpoint);
    endpoint.isTurnUsed = true;
    const gone = login('gone');
    const decisions = [decide(admission, gone), decide(admission, login('stays'))];
    admission.abort(gone);
    expect(endpoint.asked).toEqual([]);
    endpoint.nextTurn();
    expect(await Promise.all(decisions)).toMatchObject([undefined, { device: { id: 'stays' } }]);
    expect(endpoint.asked.map(({ deviceId }) => deviceId)).toEqual(['stays']);
  });

  it('rejects logins with 503 while too many are deferred, and frees their slots', async () => {
    const endpoint = new Endpoint();
    const admission = new Admission(endpoint);
    endpoint.isTurnUsed = true;
    const requests = Array.from({ length: MAX_WAITING / 2 }, () => login());
    const decisions = requests.map((request) => decide(admission, request));
    expect(await decide(admission, login())).toEqual(NOT_NOW);
    for (const request of requests) admission.abort(request);
    endpoint.nextTurn();
    await Promise.all(decisions);
    endpoint.isTurnUsed = false;
    expect(await decide(admission, login())).toMatchObject({ device: {} });
  });

  describe('with slow guards', () => {
    beforeEach(() => jest.useFakeTimers());
    afterEach(() => jest.useRealTimers());

    it('rejects with 503 after upgradeTimeoutMs, once, and frees the place', async () => {
      const endpoint = new Endpoint({ upgradeTimeoutMs: 1_000 });
      endpoint.holds = true;
      const admission = new Admission(endpoint);
      const waiting = Array.from({ length: MAX_WAITING / 2 }, () => decide(admission, login()));
      expect(await decide(admission, login())).toEqual(NOT_NOW);
      jest.advanceTimersByTime(1_000);
      expect((await Promise.all(waiting)).every((decision) => decision && 'status' in decision)).toBe(true);
      expect(endpoint.asked[0]?.signal?.aborted).toBe(true);
      const later = decide(admission, login('later'));
      endpoint.release();
      expect(await later).toMatchObject({ device: { id: 'later' } });
      expect(endpoint.reports).toHaveLength(MAX_WAITING / 2);
      expect(jest.getTimerCount()).toBe(0);
    });

    it('makes no decision on an aborted upgrade, aborts its signal, and keeps its place until the timeout', async () => {
      const endpoint = new Endpoint({ upgradeTimeoutMs: 1_000 });
      endpoint.holds = true;
      const admission = new Admission(endpoint);
      for (let count = 0; count < MAX_WAITING / 2; count++) {
        const request = login();
        const decision = decide(admission, request);
        expect(request.signal?.aborted).toBe(false);
        admission.abort(request);
        expect(request.signal?.aborted).toBe(true);
        expect(await decision).toBeUndefined();
      }
      expect(await decide(admission, login())).toEqual(NOT_NOW);
      jest.advanceTimersByTime(1_000);
      void decide(admission, login('next'));
      expect(endpoint.asked.at(-1)?.deviceId).toBe('next');
      expect(endpoint.reports).toEqual([]);
    });

    it('gives a place back once, though its guards answer after the time is up', async () => {
      const endpoint = new Endpoint({ upgradeTimeoutMs: 1_000 });
      endpoint.holds = true;
      const admission = new Admission(endpoint);
      const fill = (): Promise<unknown>[] =>
        Array.from({ length: MAX_WAITING / 2 }, () => decide(admission, login()));
      const first = fill();
      jest.advanceTimersByTime(1_000);
      await Promise.all(first);
      // The guards of the first answer when others have their slots.
      endpoint.release();
      const second = fill();
      await jest.advanceTimersByTimeAsync(0);
      expect(await decide(admission, login())).toEqual(NOT_NOW);
      endpoint.release();
      await Promise.all(second);
    });

    it('reports nothing of guards that fail after the time is up, or after the device has gone', async () => {
      const endpoint = new Endpoint({ upgradeTimeoutMs: 1_000 });
      endpoint.holds = true;
      const admission = new Admission(endpoint);
      const gone = login('broken');
      const decisions = [decide(admission, gone), decide(admission, login('stranger'))];
      admission.abort(gone);
      jest.advanceTimersByTime(1_000);
      expect(await Promise.all(decisions)).toEqual([undefined, NOT_NOW]);
      endpoint.release();
      await jest.advanceTimersByTimeAsync(0);
      expect(endpoint.reports).toMatchObject([{ deviceId: 'stranger', type: 'upgrade_failed' }]);
    });
  });

  it('reports an error thrown by a listener of the abort signal', async () => {
    const endpoint = new Endpoint();
    endpoint.holds = true;
    const admission = new Admission(endpoint);
    const request = login();
    const decision = decide(admission, request);
    request.signal?.addEventListener('abort', () => {
      throw new Error('the database is gone');
    });
    admission.abort(request);
    expect(await decision).toBeUndefined();
    expect(endpoint.reports).toMatchObject([
      { deviceId: 'nerves-242a', type: 'upgrade_failed', info: 'Error' },
    ]);
  });

  it('rejects with 503 an attempt that is older than the current connection (§1.7)', async () => {
    const endpoint = new Endpoint();
    expect(await decide(new Admission(endpoint), comeBack('outdated'))).toEqual(NOT_NOW);
    expect(endpoint.reports).toMatchObject([{ deviceId: 'outdated', type: 'late_attempt' }]);
  });

  it('rejects with 503 and a reason a machine whose device id another machine uses, on any node (§1.8)', async () => {
    const endpoint = new Endpoint();
    const admission = new Admission(endpoint);
    const refusal = { status: 503, retryAfterS: 60, reason: 'another machine uses this device id' };
    for (const id of ['clone', 'elsewhere']) expect(await decide(admission, comeBack(id))).toEqual(refusal);
    expect(endpoint.reports.map(({ type }) => type)).toEqual(['clone_suspected', 'clone_suspected']);
    expect(await decide(admission, comeBack('elsewhere no more'))).toMatchObject({ device: {} });
  });

  it('asks no other node about a request that opens no connection', async () => {
    const decisions: UpgradeDecision[] = [];
    await new Admission(new Endpoint()).decide(comeBack('elsewhere'), false, (made) => {
      decisions.push(made);
      return false;
    });
    expect(decisions).toMatchObject([{ device: { id: 'elsewhere' } }]);
  });

  it('notes when it was asked, before the guards have answered, and by which attempt (§1.7)', () => {
    const endpoint = new Endpoint();
    endpoint.holds = true;
    const request = comeBack();
    request.headers['x-fedecks-attempt'] = 'AAECAwQFBgcICQoLDA0ODw/7';
    const before = performance.now();
    void decide(new Admission(endpoint), request);
    expect(request.arrival?.attempt).toEqual({ process: 'AAECAwQFBgcICQoLDA0ODw', number: 7 });
    expect(request.arrival?.askedAt).toBeGreaterThanOrEqual(before);
  });

  it('rejects pending and later upgrades with 503 while it drains', async () => {
    const endpoint = new Endpoint();
    endpoint.holds = true;
    const admission = new Admission(endpoint);
    const waiting = decide(admission, login());
    admission.drain();
    expect(await waiting).toEqual({ status: 503, retryAfterS: 1 });
    expect(await decide(admission, comeBack())).toEqual({ status: 503, retryAfterS: 1 });
    expect(endpoint.reports).toEqual([]);
  });

  it('rejects with 403 a device that was revoked while the guards ran', async () => {
    const endpoint = new Endpoint();
    endpoint.isRevoked = true;
    expect(await decide(new Admission(endpoint), comeBack())).toEqual({ status: 403 });
    expect(endpoint.reports).toEqual([{ deviceId: 'nerves-242a', type: 'invalid_token', info: 'revoked' }]);
  });

  describe("with duplicates: 'oldest'", () => {
    it('rejects with 503 a device that is connected on any node', async () => {
      const endpoint = new Endpoint({ duplicates: 'oldest' });
      const admission = new Admission(endpoint);
      endpoint.connected.add('here');
      expect(await decide(admission, login('here'))).toEqual(NOT_NOW);
      endpoint.isFree = false;
      expect(await decide(admission, login('elsewhere'))).toEqual(NOT_NOW);
      expect(endpoint.reports.map(({ type }) => type)).toEqual(['duplicate', 'duplicate']);
      expect(endpoint.unclaimed).toEqual([]);
    });

    it('asks for no place for a request that opens no connection', async () => {
      const endpoint = new Endpoint({ duplicates: 'oldest' });
      endpoint.isFree = false;
      const decisions: UpgradeDecision[] = [];
      await new Admission(endpoint).decide(login('elsewhere'), false, (made) => {
        decisions.push(made);
        return false;
      });
      expect(decisions).toMatchObject([{ device: { id: 'elsewhere' } }]);
      expect(endpoint.unclaimed).toEqual([]);
    });

    it('refuses with 503 a device that has been connected while its place was asked for', async () => {
      const endpoint = new Endpoint({ duplicates: 'oldest' });
      let answer = (_isFree: boolean): void => undefined;
      endpoint.isFree = new Promise((resolve) => (answer = resolve));
      const waiting = decide(new Admission(endpoint), login());
      await new Promise((resolve) => setImmediate(resolve));
      endpoint.connected.add('nerves-242a');
      answer(true);
      expect(await waiting).toEqual(NOT_NOW);
      expect(endpoint.reports).toMatchObject([{ type: 'duplicate' }]);
    });

    it('refuses a device where draining has begun while its place was asked for, and gives the place back', async () => {
      const endpoint = new Endpoint({ duplicates: 'oldest' });
      let answer = (_isFree: boolean): void => undefined;
      endpoint.isFree = new Promise((resolve) => (answer = resolve));
      const admission = new Admission(endpoint);
      const waiting = decide(admission, login());
      await new Promise((resolve) => setImmediate(resolve));
      admission.drain();
      answer(true);
      expect(await waiting).toEqual({ status: 503, retryAfterS: 1 });
      expect(endpoint.unclaimed).toEqual(['nerves-242a']);
    });

    it('gives the place back of a device for which no connection was opened', async () => {
      const endpoint = new Endpoint({ duplicates: 'oldest' });
      const admission = new Admission(endpoint);
      await decide(admission, login('opened'));
      await decide(admission, login('gone'), false);
      endpoint.isRevoked = true;
      await decide(admission, login('revoked'));
      expect(endpoint.unclaimed).toEqual(['gone', 'revoked']);
    });

    it('frees the claim of a device whose connection failed to open', async () => {
      const endpoint = new Endpoint({ duplicates: 'oldest' });
      const opening = new Admission(endpoint).decide(login('unlucky'), true, () => {
        throw new Error('the socket is gone');
      });
      await expect(opening).rejects.toThrow('the socket is gone');
      expect(endpoint.unclaimed).toEqual(['unlucky']);
    });
  });
});
