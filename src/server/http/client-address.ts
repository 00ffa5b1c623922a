import type { IncomingMessage } from 'node:http';
import { isIPv4, isIPv6 } from 'node:net';
import { ipv6Network } from '../../ip-network.ts';

/**
 * Whom a request comes from, as an IP address: the one place that says it. Each proxy adds the address that it
 * sees to the end of `X-Forwarded-For`, so the last `proxies` entries are our own proxies' word, and what stands
 * left of them is anybody's.
 *
 * Where a proxy wrote something that is no address, the next hop towards us stands in for it: never an entry
 * further left, which the client could have chosen.
 *
 * @returns undefined where the connection is gone already.
 */
export function clientAddressOf(
  request: Pick<IncomingMessage, 'headers' | 'socket'>,
  proxies: number,
): string | undefined {
  if (proxies === 0) return readIp(request.socket.remoteAddress ?? '');
  const forwarded = [request.headers['x-forwarded-for'] ?? []].flat().join(',').split(',');
  const hops = [...forwarded.slice(-proxies), request.socket.remoteAddress ?? ''];
  return hops.map(readIp).find((address) => address !== undefined);
}

/** What a request shows about a wrong `TRUST_PROXY`, for the operator; undefined if it shows nothing. */
export function explainWrongTrustProxy(
  { headers }: Pick<IncomingMessage, 'headers'>,
  proxies: number,
): string | undefined {
  const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',');
  const entries = forwarded === '' ? 0 : forwarded.split(',').length;
  if (proxies === 0 && entries > 0) {
    return 'a post came with X-Forwarded-For, but TRUST_PROXY is 0: behind a proxy all visitors share one limit. Set TRUST_PROXY to the number of proxies; without a proxy ignore this';
  }
  if (entries < proxies) {
    return `a post came with X-Forwarded-For entries: ${entries}, but TRUST_PROXY is ${proxies}: clients can choose their address. Set TRUST_PROXY to the number of proxies, and let each add to X-Forwarded-For`;
  }
  return undefined;
}

/**
 * Reads what stands in such headers: an address, perhaps with a port, brackets, quotes or a zone. An IPv4
 * address that is dressed up as IPv6 comes back as itself; IPv6 in its one canonical form.
 */
export function readIp(text: string): string | undefined {
  const bare = text.trim().replace(/^"(.*)"$/, '$1');
  const v4 = /^([\d.]+)(?::\d{1,5})?$/.exec(bare)?.[1];
  if (v4 !== undefined) return isIPv4(v4) ? v4 : undefined;
  const v6 = (/^\[([^\]]*)\](?::\d{1,5})?$/.exec(bare)?.[1] ?? bare).replace(/%.*$/, '');
  return isIPv6(v6) ? unmapped(new URL(`http://[${v6}]`).hostname.slice(1, -1)) : undefined;
}

/** `::ffff:cb00:7107`, as the canonical form has it, is 203.0.113.7. */
function unmapped(v6: string): string {
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(v6) ?? [];
  if (high === undefined || low === undefined) return v6;
  return [high, low].flatMap((part) => [Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 255]).join('.');
}

/** Whether the other end of a connection is on this machine. */
export function isLoopback(remoteAddress: string | undefined): boolean {
  return /^(127\.|::1$)/.test(readIp(remoteAddress ?? '') ?? '');
}

/**
 * What limits count by: an IPv4 address, or the /64 that an IPv6 address lies in, since one customer has at
 * least that much.
 */
export function networkOf(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  return address.includes(':') ? ipv6Network(address, 64) : address;
}
