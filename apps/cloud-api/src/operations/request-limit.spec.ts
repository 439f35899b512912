import { RequestLimit } from './request-limit.js';

describe('RequestLimit', () => {
  it('says when an address above its limit may come back', () => {
    const limit = new RequestLimit(2);
    const seconds = [0, 10_000, 20_000, 59_999, 60_000].map((now) => limit.retryAfter('192.0.2.1', now));
    expect(seconds).toEqual([undefined, undefined, 40, 1, undefined]);
  });

  it('counts each address for itself, and IPv6 addresses by their /64', () => {
    const limit = new RequestLimit(1);
    const addresses = [
      '192.0.2.1',
      '192.0.2.2',
      '2001:db8::1',
      '2001:db8::2',
      '2001:db8:0:1::1',
      '192.0.2.1',
    ];
    const areRefused = addresses.map((address) => limit.retryAfter(address, 0) !== undefined);
    expect(areRefused).toEqual([false, false, false, true, false, true]);
  });

  it('counts all addresses beyond 10,000 together', () => {
    const limit = new RequestLimit(1);
    for (let index = 0; index < 10_000; index++) limit.retryAfter(`10.0.${index >> 8}.${index & 255}`, 0);
    const areRefused = ['192.0.2.1', '192.0.2.2', '10.0.0.1'].map(
      (address) => limit.retryAfter(address, 0) !== undefined,
    );
    expect(areRefused).toEqual([false, true, true]);
  });
});
