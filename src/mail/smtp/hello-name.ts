import { isIP } from 'node:net';
import { domainOf } from '../../address.ts';

/**
 * The name that we give in EHLO where none is set: the first of these that is a whole name in the DNS. A machine in a
 * container is called after nothing, and relays such as Google's turn away who says `[127.0.0.1]`.
 */
export function helloNameFor(given: { machine: string; publicUrl: string; from: string }): string {
  return [given.machine, new URL(given.publicUrl).hostname].find(isWholeName) ?? domainOf(given.from);
}

function isWholeName(name: string): boolean {
  return (
    isIP(name) === 0 && /^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(name) && !/(^|\.)localhost$|\.localdomain$/i.test(name)
  );
}
