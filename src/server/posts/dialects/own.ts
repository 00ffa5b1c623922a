import type { Dialect } from './dialect.ts';

/** What this program speaks itself: RFC 9457 for refusals. */
export const own: Dialect = {
  stored: ({ stored }) => ({
    status: 201,
    body: { id: stored.id, receipt: stored.receipt, receivedAt: stored.receivedAt.toISOString() },
  }),
  problem: (details) => ({ type: 'application/problem+json; charset=utf-8', body: details }),
};
