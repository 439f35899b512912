import { type IncomingMessage } from 'node:http';
import { BlockList, isIP, isIPv6, SocketAddress } from 'node:net';

/** The maximum number of proxies to check, at some microseconds each. */
const MAX_PROXIES = 16;

/** The maximum length of an address with brackets, zone and port. */
const MAX_ENTRY_LENGTH = 80;

/** Finds the address of the device behind trusted proxies. */
export class PeerAddress {
  private readonly trusted: TrustedProxies | undefined;

  /** @param trustedProxies as in the option of that name. */
  constructor(trustedProxies: readonly string[]) {
    this.trusted = trustedProxies.length > 0 ? new TrustedProxies(trustedProxies) : undefined;
  }

  /**
   * The address of the peer, or of the client in the `X-Forwarded-For` of trusted proxies. If an entry is not an address,
   * the address of the proxy that wrote it. Empty if the peer has no address.
   * @param onUnixSocket the server listens on a unix socket: its peers are trusted if there are trusted proxies.
   */
  of(request: IncomingMessage, onUnixSocket: boolean): string {
    let address = unmap(request.socket.remoteAddress ?? '');
    if (!this.trusted) return address;
    const header = request.headers['x-forwarded-for'] ?? '';
    let rest = Array.isArray(header) ? header.join(',') : header;
    for (let hop = 0; hop < MAX_PROXIES && rest !== ''; hop++) {
      // A closed TCP peer has no address: its header is not trusted.
      if (address === '' ? !onUnixSocket : !this.trusted.has(address)) break;
      // Each proxy appends the address of its client.
      const comma = rest.lastIndexOf(',');
      const entry = rest.slice(comma + 1).trim();
      rest = rest.slice(0, Math.max(comma, 0));
      if (entry === '') continue;
      const next = addressIn(entry);
      if (next === undefined) break;
      address = next;
    }
    return address;
  }
}

/**
 * The key for a limit per address, for example on logins: for IPv6 the /64 network, which belongs to one subscriber;
 * otherwise the address.
 * @param address the `remoteAddress` of a device or a request.
 */
export function networkOf(address: string): string {
  const own = unmap(address);
  if (!isIPv6(own)) return own;
  const [head = '', tail] = canonical(own).split('::');
  const groups = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  while (groups.length + after.length < 8) groups.push('0');
  return `${[...groups, ...after].slice(0, 4).join(':')}::/64`;
}

/** The address in an entry. Proxies write it bare, with a port, or in brackets. */
function addressIn(entry: string): string | undefined {
  if (entry.length > MAX_ENTRY_LENGTH) return undefined;
  const [, bracketed, dotted] = /^"?(?:\[([^\]]*)\](?::\d+)?|([\d.]+):\d+)"?$/.exec(entry) ?? [];
  const address = bracketed ?? dotted ?? entry;
  return isIP(address) === 0 ? undefined : unmap(address);
}

/** Converts a mapped address, `::ffff:203.0.113.9`, to IPv4. */
function unmap(address: string): string {
  if (!isIPv6(address)) return address;
  const text = canonical(address);
  return text.startsWith('::ffff:') && text.includes('.') ? text.slice('::ffff:'.length) : address;
}

/** As RFC 5952 writes it, without a zone. */
function canonical(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

/** Named networks, as in Express. */
const NAMED_NETWORKS: ReadonlyMap<string, readonly string[]> = new Map([
  ['loopback', ['127.0.0.0/8', '::1']],
  ['linklocal', ['169.254.0.0/16', 'fe80::/10']],
  ['uniquelocal', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']],
]);

/** The app's trusted proxies. */
export class TrustedProxies {
  private readonly networks = new BlockList();

  /**
   * @param entries as in the option `trustedProxies`.
   * @throws {TypeError} with the first entry that is not an address, a network or a name.
   */
  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      for (const network of NAMED_NETWORKS.get(entry) ?? [entry]) this.add(network);
    }
  }

  /** @param address of either family. A mapped IPv6 address counts as the IPv4 address. */
  has(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.networks.check(address, familyName(family));
  }

  private add(network: string): void {
    const [, address = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(network) ?? [];
    const family = isIP(address);
    const bits = family === 4 ? 32 : 128;
    const length = prefix === undefined ? bits : Number(prefix);
    // A prefix of 0 would trust every device, and an IPv6 network of all mapped addresses every IPv4 device.
    const isTooWide = length < 1 || (family === 6 && length < 96 && holdsAllOfIpv4(address, length));
    if (family === 0 || length > bits || isTooWide) {
      throw new TypeError(`'${network}' is not an address or network of proxies`);
    }
    this.networks.addSubnet(address, length, familyName(family));
  }
}

function holdsAllOfIpv4(address: string, length: number): boolean {
  const network = new BlockList();
  network.addSubnet(address, length, 'ipv6');
  return network.check('::ffff:0.0.0.0', 'ipv6');
}

function familyName(family: number): 'ipv4' | 'ipv6' {
  return family === 4 ? 'ipv4' : 'ipv6';
}
