import type { Dialect } from './dialect.ts';
import { django } from './django.ts';
import { formspree } from './formspree.ts';

/** Our own API: refusals as in RFC 9457. */
const own: Dialect = {
  stored: ({ stored }) => ({
    status: 201,
    body: { id: stored.id, receipt: stored.receipt, receivedAt: stored.receivedAt.toISOString() },
  }),
  problem: (details) => ({ type: 'application/problem+json; charset=utf-8', body: details }),
};

/** Chosen by path, not by route: also a request that never reaches a route (wrong method, a limit) gets its dialect. */
export function dialectOf(path: string): Dialect {
  if (/^\/f\//i.test(path)) return formspree;
  return /^\/api\/(?:sender|message|send-email)\/?$/i.test(path) ? django : own;
}
