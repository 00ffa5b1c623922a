import type { Middleware } from 'koa';
import { Problem } from '../../problems.ts';
import { maxValues } from '../http/body-limits.ts';

/**
 * Koa's `ctx.query` takes quadratic time for a repeated name: 15 KB of `a&` take 600 ms.
 *
 * @throws {Problem} argument-invalid
 */
export const refuseLongQueries: Middleware = (ctx, next) => {
  if (ctx.querystring.split('&', maxValues + 1).length <= maxValues) return next();
  throw new Problem('argument-invalid', `the query must have no more than ${maxValues} values`);
};
