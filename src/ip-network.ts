import { BlockList, isIP } from 'node:net';

/**
 * Where a message was posted from, as far as it is kept: the /24 of an IPv4 address, the /48 of an IPv6 one. It
 * tells floods apart, and nobody's household.
 *
 * @param address as `readIp` reads it: IPv6 in its canonical form.
 */
export function coarseNetwork(address: string): string {
  if (address.includes(':')) return ipv6Network(address, 48);
  return `${address.slice(0, address.lastIndexOf('.'))}.0/24`;
}

/** @param bits a multiple of 16. */
export function ipv6Network(address: string, bits: number): string {
  const [left = '', right] = address.split('::');
  const groups = left === '' ? [] : left.split(':');
  const after = right ? right.split(':') : [];
  const all =
    right === undefined ? groups : [...groups, ...Array(8 - groups.length - after.length).fill('0'), ...after];
  return `${all.slice(0, bits / 16).join(':')}::/${bits}`;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether this names the machine itself. Only exact spellings count: `127.1` and `localhost.example` do not. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  const version = isIP(name);
  if (version) return loopback.check(name, version === 6 ? 'ipv6' : 'ipv4');
  return name === 'localhost';
}
