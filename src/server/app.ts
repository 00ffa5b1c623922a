import Koa from 'koa';
import type { MailingContext } from '../mailing-context.ts';
import type { Intake } from '../services/intake/intake.ts';
import { openRequestScope, type RequestState } from './http/request-scope.ts';
import { setSecurityHeaders } from './http/security-headers.ts';
import { limitPages } from './limits/limit-clients.ts';
import { allowOrigins } from './middleware/allow-origins.ts';
import { answerProblems } from './middleware/answer-problems.ts';
import { createMetrics } from './middleware/metrics.ts';
import { refuseLongQueries } from './middleware/refuse-long-queries.ts';
import { refuseUnknownHosts } from './middleware/refuse-unknown-hosts.ts';
import { createMailboxRoutes } from './pages/mailbox-routes.ts';
import { createPageRoutes } from './pages/page-routes.ts';
import type { Pages } from './pages/pages.ts';
import { createReleaseRoutes } from './pages/release-routes.ts';
import { createUnsubscribeRoutes } from './pages/unsubscribe-routes.ts';
import { createRoutes, type ServerState } from './routes.ts';

/** Assembles the HTTP application. Requests pass the middleware in this order. */
export function createApp(
  context: MailingContext,
  pages: Pages,
  server: ServerState,
  intake: Intake,
): Koa<RequestState> {
  const app = new Koa<RequestState>();
  const routes = createRoutes(context, server);
  const limit = limitPages(context.config.rateLimit);
  const metrics = createMetrics(context, limit);
  app.use(openRequestScope(context, intake));
  app.use(metrics.countPosts);
  app.use(setSecurityHeaders(context.config.publicUrl.startsWith('https:')));
  app.use(answerProblems(pages));
  app.use(refuseLongQueries);
  app.use(refuseUnknownHosts(context.config.allowedHosts));
  app.use(allowOrigins(context, routes));
  app.use(routes.routes());
  app.use(createPageRoutes(context.config, pages, limit).routes());
  app.use(createUnsubscribeRoutes(context, limit).routes());
  app.use(createReleaseRoutes(context, limit).routes());
  app.use(metrics.routes.routes());
  app.use(createMailboxRoutes(context, server.mailboxKey).routes());
  app.use(routes.allowedMethods());
  // Not from `answerProblems`: the client left while the answer was being sent.
  app.on('error', (error: unknown) => context.log.warn({ err: error }, 'answer could not be sent'));
  return app;
}
