import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Middleware } from 'koa';
import { Problem } from '../../problems.ts';
import type { RequestState } from '../http/request-scope.ts';
import { basePathOf } from './open-page.ts';

/** Everybody who can read the server's output may read its mail. Each start makes a new key of 128 bits. */
export function createMailboxKey(): string {
  return randomBytes(16).toString('base64url');
}

/**
 * Lets in a browser that opened the printed address. A cookie then stands in for the key, so that the key stays out of
 * the browser's history. No header or address of a connection proves who asks: a proxy on this machine sends the same.
 *
 * @throws {Problem} mailbox-locked, before anything looks for the mail.
 */
export function lockMailbox(key: string, publicUrl: string): Middleware<RequestState> {
  const { port } = new URL(publicUrl);
  const path = `${basePathOf(publicUrl)}/mailbox`;
  // Browsers send the cookies of every port of a host: two servers on one machine need two names.
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
