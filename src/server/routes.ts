import Router, { type RouterContext } from '@koa/router';
import type { Context } from '../context.ts';
import { createChallenge } from '../services/captcha-challenge.ts';
import { defaultFormSlug } from '../services/forms.ts';
import { readiness } from '../services/readiness.ts';
import { readReceipt } from '../services/receipt.ts';
import { submitMessage } from '../services/submit-message.ts';
import { addAdminRoutes } from './admin-routes.ts';
import type { Pages } from './pages.ts';
import { readSubmission } from './read-submission.ts';
import type { RequestState } from './request-scope.ts';
import { wantsPage } from './wants-page.ts';

export interface ServerState {
  /** Set when the server has begun to stop: it finishes what it has and wants no more. */
  stopping: boolean;
}

export function createRoutes(context: Context, pages: Pages, server: ServerState): Router<RequestState> {
  const router = new Router<RequestState>();
  const basePath = new URL(context.config.publicUrl).pathname.replace(/\/$/, '');

  router.post('/api/messages', async (ctx) => {
    const submission = await readSubmission(ctx, defaultFormSlug);
    ctx.state.posted = submission.values;
    const stored = await submitMessage(ctx.state.scope, submission);
    if (wantsPage(ctx)) {
      ctx.status = 303;
      ctx.set('Location', stored.redirectUrl ?? `${basePath}/thanks?receipt=${stored.receipt}`);
      ctx.body = '';
    } else {
      ctx.status = 201;
      ctx.body = { id: stored.id, receipt: stored.receipt, receivedAt: stored.receivedAt.toISOString() };
    }
  });

  router.get('/api/captcha', async (ctx) => {
    const slug = ctx.query['form'];
    ctx.body = await createChallenge(ctx.state.scope, typeof slug === 'string' ? slug : defaultFormSlug);
  });

  addAdminRoutes(router, context.config);

  router.get('/', (ctx) => sendPage(ctx, pages.landing()));
  router.get('/thanks', (ctx) => {
    const receipt = ctx.query.receipt;
    sendPage(ctx, pages.thanks(typeof receipt === 'string' ? readReceipt(receipt) : undefined));
  });
  router.get('/style.css', (ctx) => {
    ctx.type = 'css';
    ctx.set('Cache-Control', 'public, max-age=300');
    ctx.body = pages.style;
  });

  router.get('/livez', (ctx) => {
    ctx.body = { status: 'ok' };
  });
  router.get('/readyz', async (ctx) => {
    const report = server.stopping
      ? { ready: false, checks: { server: 'stopping' } }
      : await readiness(ctx.state.scope);
    ctx.status = report.ready ? 200 : 503;
    if (!report.ready) ctx.set('Retry-After', '5');
    ctx.body = { status: report.ready ? 'ok' : 'unavailable', checks: report.checks };
  });
  return router;
}

function sendPage(ctx: RouterContext<RequestState>, html: string): void {
  ctx.type = 'html';
  ctx.body = html;
}
