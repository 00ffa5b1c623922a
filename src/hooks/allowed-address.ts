import ipaddr from 'ipaddr.js';

/** Where clouds tell a machine its secrets, besides link-local addresses. One of them looks public. */
const metadata = ['100.100.100.200', '168.63.129.16', 'fd00:ec2::254', 'fd20:ce::254'];
const inner = ['private', 'uniqueLocal', 'loopback', 'carrierGradeNat'];
const publicIpv6 = ipaddr.IPv6.parseCIDR('2000::/3');
const nat64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');

/** Whether we may connect there: to a public address, and with `inside` also to one of our own networks. */
export function isAllowedAddress(text: string, inside: boolean): boolean {
  if (!ipaddr.isValid(text)) return false;
  let address = ipaddr.parse(text);
  if (address instanceof ipaddr.IPv6 && (address.isIPv4MappedAddress() || address.match(nat64))) {
    address = new ipaddr.IPv4(address.toByteArray().slice(12));
  }
  const range = address.range();
  // The library calls each IPv6 address unicast that is in none of its lists, also ::127.0.0.1.
  const isPublic = range === 'unicast' && (address instanceof ipaddr.IPv4 || address.match(publicIpv6));
  return (isPublic || (inside && inner.includes(range))) && !metadata.includes(address.toString());
}
