import type { IncomingMessage } from 'node:http';
import { isIPv4, isIPv6 } from 'node:net';
import { ipv6Network } from '../../ip-network.ts';

/**
 * The IP address that a request comes from; only this function decides it. Each proxy adds the address it sees to the
 * end of `X-Forwarded-For`. So our own proxies wrote the last `proxies` entries, and a client may have written the rest.
 *
 * If a proxy wrote no valid address, the next hop towards us counts instead, never an entry further left.
 *
 * @returns undefined if the connection is already closed.
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
 * Reads an address from such a header, perhaps with a port, brackets, quotes or a zone. Returns IPv4 as IPv4, even if
 * it is mapped into IPv6, and IPv6 in its canonical form.
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

/** Whether the client of a connection is on this machine. */
export function isLoopback(remoteAddress: string | undefined): boolean {
  return /^(127\.|::1$)/.test(readIp(remoteAddress ?? '') ?? '');
}

/** The network that limits count: an IPv4 address or an IPv6 /64, which every IPv6 customer has at least. */
export function networkOf(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  return address.includes(':') ? ipv6Network(address, 64) : address;
}
