import { timingSafeEqual } from 'node:crypto';
import type { Keyring } from '../privacy/keyring.ts';

/** What a link does. A signature is for one action, so a token for another one does not work. */
type LinkAction = 'unsubscribe' | 'release';

/** The token of a link that works without a login: what it is about, and a signature that only we can make. */
export function signLink(keyring: Keyring, action: LinkAction, about: Buffer): string {
  return `${about.toString('base64url')}.${signature(keyring, action, about).toString('base64url')}`;
}

/** @returns what the link is about; undefined if we did not sign this token for this action. */
export function readSignedLink(keyring: Keyring, action: LinkAction, token: string): Buffer | undefined {
  const [about = Buffer.alloc(0), signed = Buffer.alloc(0)] = token
    .split('.')
    .map((part) => Buffer.from(part, 'base64url'));
  const expected = signature(keyring, action, about);
  return signed.length === expected.length && timingSafeEqual(signed, expected) ? about : undefined;
}

function signature(keyring: Keyring, action: LinkAction, about: Buffer): Buffer {
  return keyring.linkSignature(`${action} ${about.toString('base64url')}`);
}

/** What a link that releases a held message is about. A release or a new hold changes `heldSince`, and so ends the link. */
export interface ReleaseLink {
  message: string;
  /** In milliseconds since 1970. */
  heldSince: number;
  endsAt: number;
}

export function signReleaseLink(keyring: Keyring, { message, heldSince, endsAt }: ReleaseLink): string {
  return signLink(keyring, 'release', Buffer.from(`${message} ${heldSince} ${endsAt}`));
}

/** @returns undefined if we did not sign this token. */
export function readReleaseLink(keyring: Keyring, token: string): ReleaseLink | undefined {
  const [message, heldSince, endsAt] = readSignedLink(keyring, 'release', token)?.toString().split(' ') ?? [];
  return message === undefined ? undefined : { message, heldSince: Number(heldSince), endsAt: Number(endsAt) };
}
