import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Middleware } from 'koa';
import { Problem } from '../../problems.ts';
import type { RequestState } from '../http/request-scope.ts';
import { basePathOf } from './open-page.ts';

/** A new key of 128 bits for each start. Anybody who can read the server's output may read its mail. */
export function createMailboxKey(): string {
  return randomBytes(16).toString('base64url');
}

/**
 * Admits a browser that opened the printed address. A cookie then replaces the key in the address, to keep it out of the
 * browser's history. The client's IP address would prove nothing, because a proxy on this machine has the same one.
 *
 * @throws {Problem} mailbox-locked, before anything looks for the mail.
 */
export function lockMailbox(key: string, publicUrl: string): Middleware<RequestState> {
  const { port } = new URL(publicUrl);
  const path = `${basePathOf(publicUrl)}/mailbox`;
  // Browsers ignore the port of a cookie: two servers on one machine need two names.
  const cookie = `ruffinweb-mailbox-${port || 'default'}`;
  return (ctx, next) => {
    const given = ctx.query['key'] ?? ctx.cookies.get(cookie);
    if (!isSame(given, key))
      throw new Problem('mailbox-locked', 'open the mailbox address that the server printed when it started');
    if (ctx.query['key'] === undefined) return next();
    ctx.cookies.set(cookie, key, { path, httpOnly: true, sameSite: 'strict' });
    ctx.status = 303;
    ctx.redirect(path);
    return undefined;
  };
}

function isSame(given: string | string[] | undefined, key: string): boolean {
  if (typeof given !== 'string') return false;
  const [one, other] = [Buffer.from(given), Buffer.from(key)];
  return one.length === other.length && timingSafeEqual(one, other);
}
