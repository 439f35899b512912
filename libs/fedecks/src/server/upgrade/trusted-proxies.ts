import { BlockList, isIP } from 'node:net';

/** Networks that have a name, as Express calls them too. */
const NAMED: ReadonlyMap<string, readonly string[]> = new Map([
  ['loopback', ['127.0.0.0/8', '::1']],
  ['linklocal', ['169.254.0.0/16', 'fe80::/10']],
  ['uniquelocal', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']],
]);

/** The app's trusted proxies. */
export class TrustedProxies {
  private readonly networks = new BlockList();

  /**
   * @param entries as in the option `trustedProxies`.
   * @throws {TypeError} naming the first entry that is no address, network or name.
   */
  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      for (const network of NAMED.get(entry) ?? [entry]) this.add(network);
    }
  }

  /** @param address of either family; one that is mapped into IPv6 counts as the IPv4 address. */
  has(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.networks.check(address, familyName(family));
  }

  private add(network: string): void {
    const [, address = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(network) ?? [];
    const family = isIP(address);
    const bits = family === 4 ? 32 : 128;
    const length = prefix === undefined ? bits : Number(prefix);
    // A prefix of 0 trusts every device; an IPv6 network that holds all mapped addresses trusts every IPv4 device.
    const isTooWide = length < 1 || (family === 6 && length < 96 && holdsAllOfIpv4(address, length));
    if (family === 0 || length > bits || isTooWide) {
      throw new TypeError(`'${network}' is no address or network of proxies`);
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
