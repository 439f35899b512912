import { TrustedProxies } from './trusted-proxies.js';

describe('TrustedProxies', () => {
  it.each([
    ['10.0.0.0/8', '10.255.0.1', '11.0.0.1'],
    ['10.0.0.5', '10.0.0.5', '10.0.0.6'],
    ['10.0.0.5/32', '10.0.0.5', '10.0.0.4'],
    ['128.0.0.0/1', '203.0.113.9', '127.0.0.1'],
    ['172.16.5.9/12', '172.31.255.255', '172.32.0.0'],
    ['2001:db8:1::/48', '2001:db8:1:ffff::9', '2001:db8:2::9'],
    ['2001:db8::9', '2001:DB8:0::9', '2001:db8::8'],
    ['::ffff:10.0.0.0/104', '10.1.2.3', '11.1.2.3'],
    ['loopback', '127.0.0.1', '128.0.0.1'],
    ['loopback', '::1', '::2'],
    ['linklocal', '169.254.1.1', '169.253.1.1'],
    ['linklocal', 'fe80::1%eth0', 'fec0::1'],
    ['uniquelocal', '192.168.0.1', '192.169.0.1'],
    ['uniquelocal', '172.20.0.1', '172.15.0.1'],
    ['uniquelocal', 'fd00::1', 'fe00::1'],
  ])('of %s includes %s and not %s', (entry, inside, outside) => {
    const proxies = new TrustedProxies(['198.51.100.7', entry]);
    expect([inside, outside, '198.51.100.7'].map((address) => proxies.has(address))).toEqual([
      true,
      false,
      true,
    ]);
  });

  it('includes an IPv4-mapped IPv6 address, but not the neighbouring IPv4 addresses', () => {
    expect(new TrustedProxies(['10.0.0.0/8']).has('::ffff:10.0.0.5')).toBe(true);
    expect(new TrustedProxies(['10.0.0.0/8']).has('::ffff:11.0.0.5')).toBe(false);
    expect(new TrustedProxies(['loopback', '2001::/16']).has('0.0.0.1')).toBe(false);
  });

  it.each(['', 'unknown', '10.0.0.1:80', '10.0.0', '0x7f.1'])(
    'includes nothing that is not an address: %p',
    (text) => {
      expect(new TrustedProxies(['loopback', '0.0.0.0/1', '128.0.0.0/1']).has(text)).toBe(false);
    },
  );

  it.each([
    ...['', 'example.com', 'loopback ', 'constructor', '10.0.0.300', '10.0.0', '10.0.0.0/33', '10.0.0.0/'],
    ...['10.0.0.0/x', '10.0.0.0/8/8', '2001:db8::/129', 'fe80::1%eth0', '[::1]', ' 10.0.0.1'],
  ])('rejects the entry %p', (entry) => {
    expect(() => new TrustedProxies(['loopback', entry])).toThrow(`'${entry}' is no address or network`);
  });

  it.each(['0.0.0.0/0', '::/0', '::/80', '::1/5', '::ffff:0:0/95'])(
    'rejects %s, which would let every IPv4 device choose its address',
    (entry) => {
      expect(() => new TrustedProxies([entry])).toThrow('is no address or network');
    },
  );
});
