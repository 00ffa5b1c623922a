import type { LookupAddress } from 'node:dns';
import { lookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';

/**
 * Finds every address of a host. `lookup` also knows names of our own network, but it occupies a thread: two names without
 * an answer would stop all lookups of this process. So it is asked only for allowed hosts, and for names unknown to DNS.
 */
export async function findAddresses(
  host: string,
  allowHosts: readonly string[],
  resolver = new Resolver({ tries: 2 }),
): Promise<LookupAddress[]> {
  if (isIP(host) === 0 && !allowHosts.includes(host)) {
    const found = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const addresses = found.flatMap((it) => (it.status === 'fulfilled' ? it.value : []));
    if (addresses.length > 0) return addresses.map((address) => ({ address, family: isIP(address) }));
    for (const it of found) if (it.status === 'rejected' && /TIMEOUT|SERVFAIL/.test(it.reason.code)) throw it.reason;
  }
  return await lookup(host, { all: true });
}
