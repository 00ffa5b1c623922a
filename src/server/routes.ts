import { METHODS } from 'node:http';
import Router from '@koa/router';
import type { Context } from '../context.ts';
import { defaultFormSlug } from '../services/forms/forms.ts';
import { readiness } from '../services/health/readiness.ts';
import { createChallenge } from '../services/intake/guard-submission.ts';
import { addAdminRoutes } from './admin/admin-routes.ts';
import type { RequestState } from './http/request-scope.ts';
import { limitClients } from './limits/limit-clients.ts';
import type { SharedCounts } from './limits/shared-counts.ts';
import { addDjangoRoutes } from './posts/django-routes.ts';
import { keepTyped } from './posts/keep-typed.ts';
import { takeSubmission } from './posts/take-submission.ts';

export interface ServerState {
  /** Set when the server has begun to stop: it finishes what it has and wants no more. */
  stopping: boolean;
  /** Where several servers count together. */
  shared?: SharedCounts | undefined;
  /** What the mailbox asks for; undefined where there is none. */
  mailboxKey?: string | undefined;
}

export function createRoutes(context: Context, server: ServerState): Router<RequestState> {
  // With every method known, one that a route does not answer to is a 405, or a 404 where there is no route.
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

  const look = shared(readiness);
  router.get('/livez', (ctx) => {
    ctx.body = { status: 'ok' };
  });
  router.get('/readyz', async (ctx) => {
    const report = server.stopping ? { ready: false, checks: { server: 'stopping' } } : await look(ctx.state.scope);
    ctx.status = report.ready ? 200 : 503;
    if (!report.ready) ctx.set('Retry-After', '5');
    ctx.body = { status: report.ready ? 'ok' : 'unavailable', checks: report.checks };
  });
  return router;
}

/** However many ask at the same moment: one look answers them all, and one connection is enough for it. */
function shared<Given, Seen>(look: (given: Given) => Promise<Seen>): (given: Given) => Promise<Seen> {
  let looking: Promise<Seen> | undefined;
  return (given) => {
    looking ??= look(given).finally(() => {
      looking = undefined;
    });
    return looking;
  };
}
