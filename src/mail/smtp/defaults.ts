import { isIP } from 'node:net';
import { domainOf } from '../../address.ts';
import { isLoopback } from '../../network/ip-network.ts';

/**
 * - `implicit`: TLS from the first byte.
 * - `starttls`: STARTTLS, or no mail.
 * - `opportunistic`: STARTTLS if the server offers it, plain text if not.
 */
export type Security = 'implicit' | 'starttls' | 'opportunistic';

/** Port 465 uses TLS from the start. On any other port STARTTLS is required, except to this machine itself. */
export function securityFor(host: string, port: number): Security {
  if (port === 465) return 'implicit';
  return isLoopback(host) ? 'opportunistic' : 'starttls';
}

/**
 * The default name for EHLO: the first of these that is a full DNS name. The name of a container is not one, and relays
 * such as Google's reject clients that say `[127.0.0.1]`.
 */
export function helloNameFor(given: { machine: string; publicUrl: string; from: string }): string {
  return [given.machine, new URL(given.publicUrl).hostname].find(isFullName) ?? domainOf(given.from);
}

function isFullName(name: string): boolean {
  return (
    isIP(name) === 0 && /^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(name) && !/(^|\.)localhost$|\.localdomain$/i.test(name)
  );
}
