import type { IncomingMessage } from 'node:http';
import { readIp } from '../../network/ip-network.ts';

type Forwarded = Pick<IncomingMessage, 'headers'>;

/**
 * The IP address that a request comes from; only this function decides it. Each proxy adds the address it sees to the
 * end of `X-Forwarded-For`. So our own proxies wrote the last `proxies` entries, and a client may have written the rest.
 *
 * If a proxy wrote no valid address, the next hop towards us counts instead, never an entry further left.
 *
 * @returns undefined if the connection is already closed.
 */
export function clientAddressOf(
  request: Forwarded & Pick<IncomingMessage, 'socket'>,
  proxies: number,
): string | undefined {
  if (proxies === 0) return readIp(request.socket.remoteAddress ?? '');
  const hops = [...forwardedEntries(request).slice(-proxies), request.socket.remoteAddress ?? ''];
  return hops.map(readIp).find((address) => address !== undefined);
}

/** What a request shows about a wrong `TRUST_PROXY`, for the operator; undefined if it shows nothing. */
export function explainWrongTrustProxy(request: Forwarded, proxies: number): string | undefined {
  const entries = forwardedEntries(request).length;
  if (proxies === 0 && entries > 0) {
    return 'a post came with X-Forwarded-For, but TRUST_PROXY is 0: behind a proxy all visitors share one limit. Set TRUST_PROXY to the number of proxies; without a proxy ignore this';
  }
  if (entries < proxies) {
    return `a post came with X-Forwarded-For entries: ${entries}, but TRUST_PROXY is ${proxies}: clients can choose their address. Set TRUST_PROXY to the number of proxies, and let each add to X-Forwarded-For`;
  }
  return undefined;
}

function forwardedEntries({ headers }: Forwarded): string[] {
  const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',');
  return forwarded === '' ? [] : forwarded.split(',');
}
