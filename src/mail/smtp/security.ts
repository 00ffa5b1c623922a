import { isLoopback } from '../../ip-network.ts';

/**
 * - `implicit`: TLS from the first byte.
 * - `starttls`: STARTTLS, or no mail.
 * - `opportunistic`: STARTTLS if the server offers it, plain text if not.
 */
export type Security = 'implicit' | 'starttls' | 'opportunistic';

/** Port 465 speaks TLS from the start; on any other port STARTTLS is required, except on the way to the machine itself. */
export function securityFor(host: string, port: number): Security {
  if (port === 465) return 'implicit';
  return isLoopback(host) ? 'opportunistic' : 'starttls';
}
