import { METHODS } from 'node:http';
import Router from '@koa/router';
import type { Context } from '../context.ts';
import { defaultFormSlug } from '../services/forms/forms.ts';
import { readiness } from '../services/health/readiness.ts';
import { createChallenge } from '../services/intake/guard-submission.ts';
import { addAdminRoutes } from './admin/admin-routes.ts';
import { oneAtATime, type RequestState } from './http/request-scope.ts';
import { limitClients } from './limits/limit-clients.ts';
import type { SharedCounts } from './limits/shared-counts.ts';
import { addDjangoRoutes } from './posts/django-routes.ts';
import { keepTyped } from './posts/read-submission.ts';
import { takeSubmission } from './posts/take-submission.ts';

export interface ServerState {
  /** Whether the server is stopping: it finishes requests in flight, and load balancers should send no more. */
  stopping: boolean;
  /** Limits that several servers share, if Redis is configured. */
  shared?: SharedCounts | undefined;
  /** The key of the mailbox; undefined if there is no mailbox. */
  mailboxKey?: string | undefined;
}

export function createRoutes(context: Context, server: ServerState): Router<RequestState> {
  // Knowing all methods, the router answers a wrong one with 405 on our routes and 404 elsewhere.
  const router = new Router<RequestState>({ methods: METHODS });
  const limits = limitClients(context.config.rateLimit, keepTyped, server.shared);

  router.post('/api/messages', ...limits.posts, (ctx) => takeSubmission(ctx, defaultFormSlug));
  router.post('/api/forms/:slug/messages', ...limits.posts, (ctx) => takeSubmission(ctx, ctx.params.slug ?? ''));
  router.post('/f/:slug', ...limits.posts, (ctx) => takeSubmission(ctx, ctx.params.slug ?? ''));
  addDjangoRoutes(router, limits);

  router.get('/api/captcha', ...limits.requests, async (ctx) => {
    const slug = ctx.query['form'];
    ctx.body = await createChallenge(ctx.state.scope, typeof slug === 'string' ? slug : defaultFormSlug);
  });

  addAdminRoutes(router, context.config, server.shared);

  const look = oneAtATime(({ scope, intake }: RequestState) => readiness(scope, intake.writes));
  router.get('/livez', (ctx) => {
    ctx.body = { status: 'ok' };
  });
  router.get('/readyz', async (ctx) => {
    const report = server.stopping ? { ready: false, checks: { server: 'stopping' } } : await look(ctx.state);
    ctx.status = report.ready ? 200 : 503;
    if (!report.ready) ctx.set('Retry-After', '5');
    ctx.body = { status: report.ready ? 'ok' : 'unavailable', checks: report.checks };
  });
  return router;
}
