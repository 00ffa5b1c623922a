import type { Context as KoaContext, Middleware } from 'koa';
import { isOutage } from '../../database/outage.ts';
import { Problem } from '../../problems.ts';
import { describeProblem } from '../http/problem-details.ts';
import type { RequestState } from '../http/request-scope.ts';
import { wantsPage } from '../http/wants-page.ts';
import type { Pages } from '../pages/pages.ts';
import { dialectOf } from '../posts/dialects/index.ts';

/** How long a client should wait before it asks a server whose database is away again, in seconds. */
const outageRetrySeconds = 5;

/**
 * Turns whatever was thrown further in into an answer. Koa's own way would drop the headers that are set already
 * and could send an error's message.
 */
export function answerProblems(pages: Pages): Middleware<RequestState> {
  return async (ctx, next) => {
    try {
      await next();
      if (ctx.status === 404 && ctx.body == null)
        throw new Problem('route-unknown', 'nothing is served at this address');
      if (ctx.status === 405)
        throw new Problem('method-not-allowed', `this address answers to ${ctx.response.get('Allow')}`);
    } catch (error) {
      sendProblem(ctx, asProblem(ctx, error), pages);
    }
  };
}

function asProblem(ctx: KoaContext & { state: RequestState }, error: unknown): Problem {
  if (error instanceof Problem) return error;
  const { log } = ctx.state.scope;
  if (isOutage(error)) {
    log.error({ err: error }, 'database away');
    ctx.set('Retry-After', String(outageRetrySeconds));
    // The answer to a commit may be what was lost.
    const told =
      ctx.state.posted === undefined
        ? 'please try again in a moment'
        : 'nobody knows whether the message was stored; please try again in a moment: the same message is stored once';
    return new Problem('database-away', told, { cause: error });
  }
  log.error({ err: error }, 'unexpected error');
  return new Problem('unexpected', 'the fault is ours and was logged', { cause: error });
}

function sendProblem(ctx: KoaContext & { state: RequestState }, problem: Problem, pages: Pages): void {
  const details = describeProblem(problem, ctx.state.requestId);
  ctx.state.problem = problem.code;
  ctx.status = details.status;
  if (wantsPage(ctx)) {
    ctx.type = 'html';
    // The public address may have a path of its own, which the proxy in front takes off.
    const action = new URL(ctx.state.scope.config.publicUrl).pathname.replace(/\/$/, '') + ctx.path;
    const { posted, next } = ctx.state;
    // Node sends bytes in half the time of a string, and this page can have 400 KB.
    ctx.body = Buffer.from(
      pages.problem(details, {
        posted,
        action,
        fromKnownPage: isFromKnownPage(ctx),
        next,
        captcha: problem.captcha,
      }),
    );
  } else {
    const told = dialectOf(ctx.path).problem(details, ctx.state.posted);
    ctx.status = told.status ?? details.status;
    ctx.body = JSON.stringify(told.body);
    ctx.type = told.type;
  }
}

/** Who may read an answer (`allowOrigins`) is settled before any limit, and holds while the database is away. */
function isFromKnownPage(ctx: KoaContext): boolean {
  return ctx.headers.origin === undefined || ctx.res.hasHeader('Access-Control-Allow-Origin');
}
