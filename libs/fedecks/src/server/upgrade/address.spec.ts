import { type IncomingMessage } from 'node:http';
import { networkOf, PeerAddress, TrustedProxies } from './address.js';

function request(remoteAddress: string | undefined, forwarded?: string): IncomingMessage {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return { socket: { remoteAddress }, headers } as unknown as IncomingMessage;
}

describe('PeerAddress', () => {
  const address = new PeerAddress(['loopback', '10.0.0.0/8', '2001:db8:1::/48']);
  const of = (forwarded: string): string => address.of(request('127.0.0.1', forwarded), false);

  it.each([
    ['203.0.113.9:4711', '203.0.113.9'],
    ['[2001:db8::9]:4711', '2001:db8::9'],
    ['[2001:db8::9]', '2001:db8::9'],
    ['2001:db8::9', '2001:db8::9'],
    ['"[2001:db8::9]:4711"', '2001:db8::9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['[::ffff:cb00:7109]:80', '203.0.113.9'],
    ['203.0.113.9:4711, 10.0.0.5:50000', '203.0.113.9'],
    ['198.51.100.1, 203.0.113.9, [2001:db8:1::5]:80, 10.0.0.5', '203.0.113.9'],
    ['198.51.100.1,203.0.113.9,,  , 10.0.0.5,', '203.0.113.9'],
  ])('reads the address that proxies write as %s', (forwarded, expected) => {
    expect(of(forwarded)).toBe(expected);
  });

  it.each([
    'unknown',
    '203.0.113.999',
    '[203.0.113.9',
    '[]:1',
    '203.0.113.9 x',
    '0x7f.1',
    '203.0.113.9:4711:4711',
    'x'.repeat(15_000),
    '\u0000',
  ])('stops at an entry that is not an address, and uses the proxy that wrote it (%#)', (garbage) => {
    expect(of(garbage)).toBe('127.0.0.1');
    expect(of(`203.0.113.9, ${garbage}, 10.0.0.5`)).toBe('10.0.0.5');
  });

  it('stops at the first address that is not a trusted proxy', () => {
    expect(of('10.0.0.1, garbage, 203.0.113.9')).toBe('203.0.113.9');
  });

  it('checks at most 16 proxies, however long the header is', () => {
    const proxies = Array.from({ length: 3_000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
    expect(of(`203.0.113.9, ${proxies.reverse().join(', ')}`)).toBe('10.0.0.15');
  });

  it('trusts a peer of a Unix socket, and no other peer without an address', () => {
    expect(address.of(request(undefined, '203.0.113.9'), true)).toBe('203.0.113.9');
    expect(address.of(request(undefined), true)).toBe('');
    expect(address.of(request(undefined, '203.0.113.9'), false)).toBe('');
  });

  it('ignores the header without trusted proxies, on a Unix socket too', () => {
    const none = new PeerAddress([]);
    expect(none.of(request('127.0.0.1', '203.0.113.9'), false)).toBe('127.0.0.1');
    expect(none.of(request(undefined, '203.0.113.9'), true)).toBe('');
  });

  it('shows an IPv4-mapped address as IPv4, and matches it as a proxy', () => {
    expect(new PeerAddress([]).of(request('::ffff:203.0.113.9'), false)).toBe('203.0.113.9');
    expect(address.of(request('::ffff:10.0.0.5', '203.0.113.9'), false)).toBe('203.0.113.9');
  });
});

describe('networkOf', () => {
  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:2::', '2001:db8:1:2::/64'],
    ['2001::2:3:4:5:6:7', '2001:0:2:3::/64'],
    ['64:ff9b:1::192.0.2.7', '64:ff9b:1:0::/64'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['', ''],
  ])('of %p is %p', (address, key) => {
    expect(networkOf(address)).toBe(key);
  });
});

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
    expect(() => new TrustedProxies(['loopback', entry])).toThrow(`'${entry}' is not an address or network`);
  });

  it.each(['0.0.0.0/0', '::/0', '::/80', '::1/5', '::ffff:0:0/95'])(
    'rejects %s, which would let every IPv4 device choose its address',
    (entry) => {
      expect(() => new TrustedProxies([entry])).toThrow('is not an address or network');
    },
  );
});
