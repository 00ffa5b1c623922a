import { BlockList, isIP } from 'node:net';

/**
 * - `implicit`: TLS from the first byte.
 * - `starttls`: STARTTLS, or no mail.
 * - `opportunistic`: STARTTLS if the server offers it, plain text if not.
 */
export type Security = 'implicit' | 'starttls' | 'opportunistic';

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

/** Port 465 speaks TLS from the start; on any other port STARTTLS is required, except on the way to the machine itself. */
export function securityFor(host: string, port: number): Security {
  if (port === 465) return 'implicit';
  return isLoopback(host) ? 'opportunistic' : 'starttls';
}
