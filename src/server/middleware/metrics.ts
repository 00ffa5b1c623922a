import { createHash, timingSafeEqual } from 'node:crypto';
import Router from '@koa/router';
import type { Middleware } from 'koa';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Context } from '../../context.ts';
import { Problem } from '../../problems.ts';
import { type MailCounts, readMailCounts } from '../../services/health/mail-counts.ts';
import type { Scope } from '../../services/scope.ts';
import { attemptOutcomes, pauseCauses } from '../../words.ts';
import { oneAtATime, type RequestState } from '../http/request-scope.ts';
import { isFormPost } from '../http/wants-page.ts';

export interface Metrics {
  /** For the documentation. */
  readonly registry: Registry;
  /** Counts posts by outcome. Must run outside all middleware that answers. */
  readonly countPosts: Middleware<RequestState>;
  /** `/metrics` if `METRICS_TOKEN` is set, otherwise no route. */
  readonly routes: Router<RequestState>;
}

/**
 * Answers "am I losing mail?" in the Prometheus text format. Each scrape counts mail in the database, so every process reports
 * the same; posts are counted per process. Labels contain only this program's own words.
 *
 * @param limit runs before the token is compared, so that it limits guesses too.
 */
export function createMetrics({ config }: Pick<Context, 'config'>, limit: readonly Middleware[] = []): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const posts = new Counter({
    name: 'ruffinweb_posts_total',
    help: 'Posts that this process answered, by outcome: stored, or the code of the refusal',
    labelNames: ['outcome'],
    registers,
  });
  const mail = mailMetrics(registry);
  posts.inc({ outcome: 'stored' }, 0);

  const startedAt = performance.now();
  let since: Date | undefined;
  // Two reads at a time would count the same attempts twice.
  const readMail = oneAtATime(async (scope: Scope) => {
    const counts = await readMailCounts(scope, since ?? { agoMs: performance.now() - startedAt });
    since = counts.until;
    mail.set(counts);
  });
  const router = new Router<RequestState>();
  const { metricsToken } = config;
  if (metricsToken !== undefined) {
    // Only if the route exists, because default metrics wake the process a hundred times a second.
    collectDefaultMetrics({ register: registry, prefix: 'ruffinweb_' });
    router.get('/metrics', ...limit, async (ctx) => {
      if (!isToken(ctx.get('Authorization'), metricsToken.reveal())) {
        if (ctx.get('Authorization') !== '') {
          ctx.state.scope.log.warn({ client: ctx.state.clientAddress }, 'wrong metrics token');
        }
        ctx.set('WWW-Authenticate', 'Bearer');
        throw new Problem('token-required', 'this route needs the token in METRICS_TOKEN');
      }
      await readMail(ctx.state.scope);
      ctx.set('Content-Type', registry.contentType);
      ctx.body = await registry.metrics();
    });
  }
  return {
    registry,
    routes: router,
    async countPosts(ctx, next) {
      await next();
      if (!isFormPost(ctx)) return;
      posts.inc({ outcome: ctx.state.problem ?? 'stored' });
    },
  };
}

/** Compares in constant time, whatever the length. */
function isToken(header: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(header), digest(`Bearer ${token}`));
}

function mailMetrics(registry: Registry) {
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `ruffinweb_${name}`, help, labelNames, registers });
  const emails = gauge('emails', 'Unsent emails by kind and state; failed and held ones wait for a person', [
    'kind',
    'state',
  ]);
  const oldestDue = gauge('oldest_due_email_seconds', 'How long the oldest due email has been due; 0 if none is due');
  const oldestQueued = gauge(
    'oldest_queued_email_seconds',
    'How long the oldest notification has waited to be sent, also while it is postponed; 0 if none waits',
  );
  const held = gauge('held_messages', 'Held messages');
  const oldestHeld = gauge(
    'oldest_held_message_seconds',
    'How long the oldest held message has been held; 0 if none is held',
  );
  const paused = gauge('queue_paused', '1 while the queue is paused for this cause', ['cause']);
  const hooks = gauge('hook_deliveries', 'Queued and failed deliveries to hooks; failed ones wait for a person', [
    'state',
  ]);
  const oldestDelivery = gauge(
    'oldest_queued_hook_delivery_seconds',
    'How long the oldest delivery to an active hook has waited, also while it is postponed; 0 if none waits',
  );
  const tries = new Counter({
    name: 'ruffinweb_tries_total',
    help: 'Finished attempts to deliver an email, by result: of all processes, since this one started',
    labelNames: ['result'],
    registers,
  });
  const seconds = new Histogram({
    name: 'ruffinweb_send_seconds',
    help: 'Duration of attempts that the mail server accepted',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  for (const result of attemptOutcomes) tries.inc({ result }, 0);
  return {
    set(counts: MailCounts): void {
      // Remove kinds, states and causes of a later release that are gone.
      emails.reset();
      for (const { kind, state, count } of counts.emails) emails.set({ kind, state }, count);
      oldestDue.set(counts.oldestDueSeconds);
      oldestQueued.set(counts.oldestQueuedSeconds);
      held.set(counts.heldMessages);
      oldestHeld.set(counts.oldestHeldSeconds);
      paused.reset();
      for (const cause of pauseCauses) paused.set({ cause }, 0);
      if (counts.pausedFor !== null) paused.set({ cause: counts.pausedFor }, 1);
      for (const [state, count] of Object.entries(counts.hookDeliveries)) hooks.set({ state }, count);
      oldestDelivery.set(counts.oldestQueuedDeliverySeconds);
      for (const it of counts.tries) {
        tries.inc({ result: it.outcome });
        if (it.outcome === 'accepted' && it.seconds !== null) seconds.observe(it.seconds);
      }
    },
  };
}
