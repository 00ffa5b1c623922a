import type { Middleware } from 'koa';
import { Problem } from '../../problems.ts';
import type { RequestState } from '../http/request-scope.ts';
import { wantsPage } from '../http/wants-page.ts';
import { readPosted } from './read-submission.ts';

/**
 * Reads what a visitor posted past the limit, so that the page which says so can send it again. Programs have it
 * still, and are refused unread.
 */
export const keepTyped: Middleware<RequestState> = async (ctx, next) => {
  if (!wantsPage(ctx)) return await next();
  try {
    await next();
  } catch (error) {
    if (error instanceof Problem && error.code === 'rate-limited') await readPosted(ctx, '').catch(() => {});
    throw error;
  }
};
