import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

/**
 * Reads an IP address from a header or setting, maybe with a port, brackets, quotes or a zone. Returns IPv4 as IPv4, even
 * if it is mapped into IPv6, and IPv6 in its canonical form.
 */
export function readIp(text: string): string | undefined {
  const bare = text.trim().replace(/^"(.*)"$/, '$1');
  const v4 = /^([\d.]+)(?::\d{1,5})?$/.exec(bare)?.[1];
  if (v4 !== undefined) return isIPv4(v4) ? v4 : undefined;
  const v6 = (/^\[([^\]]*)\](?::\d{1,5})?$/.exec(bare)?.[1] ?? bare).replace(/%.*$/, '');
  return isIPv6(v6) ? unmapped(new URL(`http://[${v6}]`).hostname.slice(1, -1)) : undefined;
}

/** `::ffff:cb00:7107`, the canonical form, is 203.0.113.7. */
function unmapped(v6: string): string {
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(v6) ?? [];
  if (high === undefined || low === undefined) return v6;
  return [high, low].flatMap((part) => [Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 255]).join('.');
}

/**
 * The network that is stored with a message: an IPv4 /24 or an IPv6 /48. Enough to recognise a flood, too little to
 * identify a household.
 *
 * @param address from `readIp`.
 */
export function coarseNetwork(address: string): string {
  if (address.includes(':')) return ipv6Network(address, 48);
  return `${address.slice(0, address.lastIndexOf('.'))}.0/24`;
}

/** The network that limits count: an IPv4 address or an IPv6 /64, which every IPv6 customer has at least. */
export function networkOf(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  return address.includes(':') ? ipv6Network(address, 64) : address;
}

/** A network, and how many times the requests of one client may come from it. */
export interface WiderNetwork {
  network: string;
  times: number;
}

/** The networks around a client that one customer may own, the widest first: an IPv6 /48 and /56, or an IPv4 /24. */
export function widerNetworksOf(address: string | undefined): WiderNetwork[] {
  if (address === undefined) return [];
  const widest = { network: coarseNetwork(address), times: 4 };
  return address.includes(':') ? [widest, { network: ipv6Network(address, 56), times: 2 }] : [widest];
}

/** @param bits 48, 56 or 64. */
function ipv6Network(address: string, bits: number): string {
  const [left = '', right] = address.split('::');
  const groups = left === '' ? [] : left.split(':');
  const after = right ? right.split(':') : [];
  const all =
    right === undefined ? groups : [...groups, ...Array(8 - groups.length - after.length).fill('0'), ...after];
  const kept = all.slice(0, Math.ceil(bits / 16));
  if (bits % 16 !== 0) kept.push((Number.parseInt(kept.pop() ?? '', 16) & 0xff00).toString(16));
  return `${kept.join(':')}::/${bits}`;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether a host is this machine. Only exact spellings count: `127.1` and `localhost.example` do not. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  const version = isIP(name);
  return version === 0 ? name === 'localhost' : loopback.check(name, version === 6 ? 'ipv6' : 'ipv4');
}

const ownNetworks = new BlockList();
for (const [network, bits] of [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
] as const)
  ownNetworks.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of [
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
] as const)
  ownNetworks.addSubnet(network, bits, 'ipv6');

/** Whether a host is this machine, a private or link-local address, or a name that only our network knows: one without a dot. */
export function isOnOwnNetwork(host: string): boolean {
  // A web address is read as resolvers read a host: 127.1 is 127.0.0.1.
  const name = (URL.parse(`http://${host}`)?.hostname ?? host).replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
  const version = isIP(name);
  if (version === 0) return !name.includes('.') || name.endsWith('.localhost');
  return ownNetworks.check(name, version === 6 ? 'ipv6' : 'ipv4');
}
