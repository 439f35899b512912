import { isIPv6 } from 'node:net';

/**
 * What an address is counted by: in IPv6 its first 64 bits, which one peer has to itself; in IPv4, also where it is
 * mapped into IPv6, all of it.
 */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  return isIPv6(address) ? `${groupsOf(address).slice(0, 4).join(':')}::/64` : address;
}

/** At least the first four of the eight groups of an IPv6 address, each spelled in one way. */
function groupsOf(address: string): readonly string[] {
  const [bare = ''] = address.split('%');
  const [head = [], tail] = bare.split('::').map((part) => (part === '' ? [] : part.split(':')));
  if (!tail) return head.map(spell);
  // An IPv4 address at the end stands for two groups.
  const length = head.length + tail.length + (bare.includes('.') ? 1 : 0);
  return [...head, ...Array<string>(8 - length).fill('0'), ...tail].map(spell);
}

function spell(group: string): string {
  return parseInt(group, 16).toString(16);
}
