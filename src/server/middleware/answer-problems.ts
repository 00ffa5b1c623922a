import type { Context as KoaContext, Middleware } from 'koa';
import { isOutage } from '../../database/outage.ts';
import { readLanguage } from '../../languages/languages.ts';
import { Problem } from '../../problems.ts';
import { languageOf } from '../../services/forms/effective-settings.ts';
import { labelIn, labelOf } from '../../services/forms/fields.ts';
import { defaultFormSlug } from '../../services/forms/forms.ts';
import { describeProblem } from '../http/problem-details.ts';
import type { RequestState } from '../http/request-scope.ts';
import { thanksPath } from '../http/thanks-path.ts';
import { isFormPost, wantsPage } from '../http/wants-page.ts';
import { basePathOf } from '../pages/open-page.ts';
import type { Pages } from '../pages/pages.ts';
import { wordsForVisitors } from '../pages/visitor-words.ts';
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
  const { posted, next, scope } = ctx.state;
  const { config } = scope;
  const form = formOf(ctx);
  const language = languageOf(config, form ?? problem, readLanguage(posted?.get('_language')));
  const refused = {
    isPost: ctx.method === 'POST',
    wait: Number(ctx.response.get('Retry-After')),
    closedText: problem.closedText,
    language,
    label: (field: string) => labelIn(form ?? {}, field, language),
  };
  if (wantsPage(ctx)) {
    ctx.type = 'html';
    // The public address may have a path that the proxy removes.
    const basePath = basePathOf(config.publicUrl);
    const page = pages.problem(details, {
      ...refused,
      posted,
      form: formNameOf(ctx, problem, form),
      settings: form,
      action: basePath + ctx.path,
      fromKnownPage: isFromKnownPage(ctx),
      hidesOrigin: ctx.headers.origin === 'null',
      next: next ?? (form && basePath + thanksPath(config, form, posted)),
      captcha: problem.captcha,
    });
    // Node sends bytes in half the time of a string, and this page can be 400 KB.
    ctx.body = Buffer.from(page);
  } else {
    if (isFormPost(ctx)) {
      const { heading, text } = wordsForVisitors(details, { ...refused, isRead: posted !== undefined });
      details.visitor = { language, text: problem.closedText ?? `${heading}. ${text}` };
    }
    const { status, type, body } = dialectOf(ctx.path).problem(details, posted);
    ctx.status = status ?? details.status;
    ctx.body = JSON.stringify(body);
    ctx.type = type;
  }
}

/** The form that was posted to; undefined if this server has not read it yet, or it is closed. */
function formOf(ctx: KoaContext & { state: RequestState }) {
  return isFormPost(ctx) ? ctx.state.intake.forms.get(ctx.params.slug ?? defaultFormSlug) : undefined;
}

/** The name of that form, without a query. */
function formNameOf(ctx: KoaContext, { code, form: closed }: Problem, form: ReturnType<typeof formOf>) {
  if (form === undefined && (code !== 'form-closed' || !isFormPost(ctx))) return undefined;
  return form?.name ?? closed ?? labelOf(ctx.params.slug ?? defaultFormSlug);
}

/** `allowOrigins` has set the header before any limit refuses, even while the database is away. */
function isFromKnownPage(ctx: KoaContext): boolean {
  return ctx.headers.origin === undefined || ctx.res.hasHeader('Access-Control-Allow-Origin');
}
