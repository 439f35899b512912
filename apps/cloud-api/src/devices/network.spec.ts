import { networkOf } from './network.js';

describe('networkOf', () => {
  it.each([
    ['an IPv4 address', '192.0.2.7', '192.0.2.7'],
    ['an IPv4 address mapped into IPv6', '::ffff:192.0.2.7', '192.0.2.7'],
    ['an IPv6 address in full', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['a shortened IPv6 address', '2001:db8::1', '2001:db8:0:0::/64'],
    ['an IPv6 address with one group left out', '2001::2:3:4:5:6:7', '2001:0:2:3::/64'],
    ['an IPv6 address spelled with zeros and capitals', '2001:0DB8:0001:0002::9', '2001:db8:1:2::/64'],
    ['an IPv6 address that ends in IPv4', '64:ff9b:1::192.0.2.7', '64:ff9b:1:0::/64'],
    ['a link-local address with its interface', 'fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['the local host', '::1', '0:0:0:0::/64'],
    ['no address, as of a unix socket', '', ''],
  ])('counts %s', (_what, address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
