import { timingSafeEqual } from 'node:crypto';
import type { Keyring } from '../../privacy/keyring.ts';

/** Carries a probe; a request without a good one is answered like any other. */
export const probeHeader = 'Ruffinweb-Probe';
/** Carries the answer to one. */
export const proxiesHeader = 'Ruffinweb-Proxies';

/** An address that nobody has (RFC 5737). A probe claims to be asked for by it, as any client may. */
export const inventedAddress = '192.0.2.199';

/** What a server saw of the way that a probe came. */
export interface ProxiesSeen {
  /** How many addresses were added to `X-Forwarded-For` on the way. */
  added: number;
  /** `TRUST_PROXY` of that server. */
  trusted: number;
  /** Whether the server took the probe's word for where it came from. */
  believed: boolean;
  /** Whether the last hop was on the server's own machine. */
  local: boolean;
}

/** Clocks of two machines may differ by as much. */
const goodForMs = 5 * 60_000;

/** What only somebody with our keys can write, for a few minutes: how requests reach us is nobody else's business. */
export function makeProbe(keyring: Keyring, now: Date): string {
  const at = String(now.getTime());
  return `${at}.${sign(keyring, at).toString('base64url')}`;
}

export function isProbe(keyring: Keyring, text: string, now: Date): boolean {
  const [at = '', given = ''] = text.split('.');
  const signature = Buffer.from(given, 'base64url');
  const expected = sign(keyring, at);
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return false;
  return Math.abs(now.getTime() - Number(at)) <= goodForMs;
}

function sign(keyring: Keyring, at: string): Buffer {
  return keyring.linkSignature(`probe ${at}`);
}
