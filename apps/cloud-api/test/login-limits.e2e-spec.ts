import { hashPassword } from '../src/devices/password.js';
import { CloudApi, CREDENTIALS, type RawLogin } from './support/cloud-api.js';

const OTHER_ADDRESS = '127.0.0.2';

describe('a login at cloud-api', () => {
  let cloud: CloudApi;
  const start = async (trustedProxies: readonly string[] = []): Promise<void> => {
    cloud = await CloudApi.start({ trustedProxies });
    await cloud.writeLogins({ devices: ['*'] });
  };
  afterEach(() => cloud.close());

  async function fail(times: number, deviceId: string, from: RawLogin = {}): Promise<number[]> {
    const statuses: number[] = [];
    for (let done = 0; done < times; done++) {
      statuses.push(await cloud.statusOfLogin(deviceId, { ...from, password: 'wrong' }));
    }
    return statuses;
  }

  it('is rejected with 503 after 5 wrong passwords for its device id from its address, and from no other', async () => {
    await start();
    expect(await fail(6, 'greenhouse-1')).toEqual([403, 403, 403, 403, 403, 503]);
    expect(await cloud.statusOfLogin('greenhouse-1')).toBe(503);
    const limited = { kind: 'password', outcome: 'limited' };
    expect(await cloud.metric('cloud_device_logins_total', limited)).toBe(2);
    expect(await cloud.statusOfLogin('greenhouse-2')).toBe(101);
    expect(await cloud.statusOfLogin('greenhouse-1', { localAddress: OTHER_ADDRESS })).toBe(101);
  });

  it('is not queued behind the many logins of another address', async () => {
    await start();
    await cloud.writeLogins({ password: await hashPassword(CREDENTIALS.password) });
    const answered: number[] = [];
    const failed = (): number => answered.filter((status) => status === 403).length;
    const flood = Array.from({ length: 150 }, (_, index) =>
      cloud.statusOfLogin(`flooder-${index}`, { password: 'wrong' }).then((status) => answered.push(status)),
    );
    expect(await cloud.statusOfLogin('greenhouse-1', { localAddress: OTHER_ADDRESS })).toBe(101);
    expect(failed()).toBeLessThan(30);
    await Promise.all(flood);
    // The limit per address; a busy machine does not reach it.
    expect(failed()).toBeLessThanOrEqual(60);
    expect(answered.filter((status) => status !== 403)).toEqual(Array(150 - failed()).fill(503));
  });

  it('is counted by the address that a trusted proxy forwards', async () => {
    await start(['loopback']);
    expect(await fail(6, 'greenhouse-1', { forwardedFor: '192.0.2.1' })).toContain(503);
    expect(await cloud.statusOfLogin('greenhouse-1', { forwardedFor: '192.0.2.2' })).toBe(101);
  });

  it('is counted by the first 64 bits of an IPv6 address', async () => {
    await start(['loopback']);
    for (let host = 1; host <= 5; host++)
      await fail(1, 'greenhouse-1', { forwardedFor: `2001:db8::${host}` });
    expect(await cloud.statusOfLogin('greenhouse-1', { forwardedFor: '2001:db8::6' })).toBe(503);
    expect(await cloud.statusOfLogin('greenhouse-1', { forwardedFor: '2001:db8:0:1::6' })).toBe(101);
  });

  it("is counted by the peer's address without a trusted proxy", async () => {
    await start();
    for (let host = 1; host <= 5; host++) await fail(1, 'greenhouse-1', { forwardedFor: `192.0.2.${host}` });
    expect(await cloud.statusOfLogin('greenhouse-1', { forwardedFor: '192.0.2.6' })).toBe(503);
  });
});
