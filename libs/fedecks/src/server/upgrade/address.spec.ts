import { type IncomingMessage } from 'node:http';
import { networkOf, PeerAddress } from './address.js';

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
