import type { Context as KoaContext, Middleware } from 'koa';
import { isOutage } from '../../database/outage.ts';
import { Problem } from '../../problems.ts';
import { labelOf } from '../../services/forms/fields.ts';
import { defaultFormSlug } from '../../services/forms/forms.ts';
import { describeProblem } from '../http/problem-details.ts';
import type { RequestState } from '../http/request-scope.ts';
import { isFormPost, wantsPage } from '../http/wants-page.ts';
import { basePathOf } from '../pages/open-page.ts';
import type { Pages } from '../pages/pages.ts';
import { dialectOf } from '../posts/dialects/index.ts';

/** `Retry-After` while the database is away, in seconds. */
const outageRetrySeconds = 5;

/** Turns errors into answers. Koa's own handler would drop our headers and could send an error's message. */
export function answerProblems(pages: Pages): Middleware<RequestState> {
  return async (ctx, next) => {
    try {
      await next();
      if (ctx.status === 404 && ctx.body == null)
        throw new Problem('route-unknown', 'there is nothing at this address');
      if (ctx.status === 405)
        throw new Problem('method-not-allowed', `this address accepts ${ctx.response.get('Allow')}`);
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
    // The commit may have succeeded although its response was lost.
    const detail =
      ctx.state.posted === undefined
        ? 'please try again in a moment'
        : 'the message may not have been stored; please try again in a moment: the same message is stored once';
    return new Problem('database-away', detail, { cause: error });
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
    // The public address may have a path that the proxy removes.
    const action = basePathOf(ctx.state.scope.config.publicUrl) + ctx.path;
    const { posted, next } = ctx.state;
    const page = pages.problem(details, {
      isPost: ctx.method === 'POST',
      posted,
      form: formNameOf(ctx, problem),
      action,
      fromKnownPage: isFromKnownPage(ctx),
      next,
      captcha: problem.captcha,
    });
    // Node sends bytes in half the time of a string, and this page can be 400 KB.
    ctx.body = Buffer.from(page);
  } else {
    const { status, type, body } = dialectOf(ctx.path).problem(details, ctx.state.posted);
    ctx.status = status ?? details.status;
    ctx.body = JSON.stringify(body);
    ctx.type = type;
  }
}

/** The name of the form that was posted to, without a query; undefined if this server has not read the form yet. */
function formNameOf(ctx: KoaContext & { state: RequestState }, { code, form: closed }: Problem): string | undefined {
  if (!isFormPost(ctx)) return undefined;
  const slug = ctx.params.slug ?? defaultFormSlug;
  const form = ctx.state.intake.forms.get(slug);
  // Closed forms are not remembered.
  return form === undefined && code !== 'form-closed' ? undefined : (form?.name ?? closed ?? labelOf(slug));
}

/** `allowOrigins` has set the header before any limit refuses, even while the database is away. */
function isFromKnownPage(ctx: KoaContext): boolean {
  return ctx.headers.origin === undefined || ctx.res.hasHeader('Access-Control-Allow-Origin');
}
